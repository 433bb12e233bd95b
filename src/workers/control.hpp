#pragma once
// One database's control: a thread with an Asio loop that listens, polls slowly, says that the
// process lives, looks for lost workers while anything is claimed, and stops what is to be stopped.
// Owns the pools. Everything it does is a hint to the pool or a transaction of its own, so its
// death costs time, never a job (promise 11).

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "workers/pool.hpp"
#include "workers/reporter.hpp"

namespace lockkeeper::workers {

class Control {
 public:
  /// `label`: what the database is called in metrics and logs.
  Control(const pg::Dsn& dsn, std::string label, const config::WorkSettings& settings,
          metrics::Registry& metrics, pg::Observer& observer);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  void start();
  /// Finishes or hands back what runs, within settings.shutdown; then nothing of it is left. Called
  /// once, from another thread than the loop's.
  void stop();

  /// So many workers at most from now on, unless the queue's own settings say otherwise. Any
  /// thread.
  void resize(int general, int reorg);

  /// Empty: it is connected. Otherwise why it cannot run jobs now. Any thread.
  [[nodiscard]] std::string not_ready() const;
  /// Empty: its loop turns. Otherwise why the process had better be started anew. Any thread.
  [[nodiscard]] std::string not_alive() const;

 private:
  void connect();
  void lost(const Error& error);
  void listen_for_more();
  void handle_notifications();
  void look_for_work(const char* by);
  void call(const std::string& pool, int jobs);
  bool left_behind();
  void read_settings();
  void every_poll();
  void keep_house();
  void watch_claims();
  void say_alive(pg::Session& session);
  void beat_later();
  void retry_at(std::chrono::milliseconds delay);
  void look_for_retries();
  void stop_wanted();
  void settle_done();
  void tell_soon();
  void tell_ended();
  void bury_nodes();
  PoolPlace place(const char* pool, int warm);
  template <typename Work>
  void guarded(Work&& work);

  pg::Dsn dsn_;
  std::string database_;
  const config::WorkSettings& settings_;
  metrics::Registry& metrics_;
  pg::Observer& observer_;
  Reporter reporter_;
  std::atomic<bool> connected_ = false;
  std::atomic<std::chrono::steady_clock::rep> turned_ = 0;  ///< when the loop was seen to turn
  boost::asio::io_context loop_;
  boost::asio::steady_timer connect_timer_;
  boost::asio::steady_timer poll_timer_;
  boost::asio::steady_timer liveness_timer_;
  boost::asio::steady_timer beat_timer_;
  boost::asio::steady_timer retry_timer_;
  boost::asio::steady_timer tell_timer_;
  boost::asio::steady_timer settle_timer_;
  std::chrono::milliseconds settle_pause_{0};
  std::optional<std::chrono::steady_clock::time_point> retry_due_;
  std::chrono::steady_clock::time_point next_report_;
  std::chrono::steady_clock::time_point next_purge_;
  std::chrono::steady_clock::time_point last_told_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> socket_;
  std::unique_ptr<pg::Session> session_;
  std::map<JobId, std::chrono::steady_clock::time_point> stop_told_;
  int failures_ = 0;
  bool watching_ = false;                  ///< some job may be claimed: lost workers are looked for
  std::atomic<std::int64_t> process_ = 0;  ///< row of ddl_worker; 0: not known yet
  std::atomic<bool> ends_to_tell_ = false;
  std::atomic<int> made_ready_ = 0;
  std::atomic<bool> nodes_ = true;  ///< there may be nodes
  int general_most_ = 0;            ///< as set for the process; on the loop's thread
  int reorg_most_ = 0;
  Pool general_;
  Pool reorg_;
  std::thread thread_;
};

}  // namespace lockkeeper::workers
