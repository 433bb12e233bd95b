#pragma once
// All metrics of a worker process, and their HTTP exposer: the only user of prometheus-cpp. Names
// and sentences stand in metrics/metrics.txt, which a test compares with what is exported. Any
// thread. Nothing survives a restart: counters start at zero, as Prometheus expects.

#include <memory>
#include <string>
#include <vector>

namespace lockkeeper::metrics {

struct QueueGauge {
  std::string state;
  std::string action;
  double jobs = 0;
  double oldest_seconds = 0;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Serves GET /metrics at "address:port"; port 0 picks one. Gives the address in use. Throws
  /// Error when it is taken.
  std::string expose(const std::string& address);
  /// The text that /metrics would give.
  [[nodiscard]] std::string text() const;

  void job_ended(const std::string& database, const std::string& action, const std::string& result,
                 double wait_seconds, double run_seconds);
  void job_retried(const std::string& database, const std::string& sqlstate);
  void job_reclaimed(const std::string& database);
  /// `by`: notification, poll, retry, chain.
  void woken(const std::string& database, const std::string& by);
  void pool(const std::string& database, const std::string& pool, int most, int workers, int busy);
  /// Replaces all gauges of the queue: what is gone has no series any more.
  void queue(const std::string& database, const std::vector<QueueGauge>& gauges);
  void query(const std::string& name, double seconds, const std::string& sqlstate);
  void connected(const std::string& database, bool yes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockkeeper::metrics
