#pragma once
// Submissions of many threads over one session: what comes while a transaction is on its way shares
// the next one, so that a flush of the server's log serves all of them. One that is refused for
// good is refused alone; an error of the moment (a lock, a lost connection) is everybody's. A
// session that was lost is made anew at the next submission; with the same `key`, a submission
// whose outcome is unknown (Retry::outcome_unknown, 08007) may be repeated. Any thread; it must
// outlive its submissions. (TiDB: limitDDLJobs.)

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "jobs/submit.hpp"
#include "pg/dsn.hpp"

namespace lockkeeper::client {

class Submitter {
 public:
  /// Connects at the first submission.
  explicit Submitter(pg::Dsn dsn);
  ~Submitter();

  /// One statement; returns when its job is in the queue. Throws InputError and Error.
  jobs::Submitted submit(const std::string& sql, const jobs::SubmitOptions& options = {});
  /// Transactions so far, and submissions that wait for the next one.
  [[nodiscard]] long transactions() const;
  [[nodiscard]] int waiting() const;

 private:
  struct Waiting;
  // Shared: who is told of its outcome may be gone before the thread that sent is done with it.
  using Companions = std::vector<std::shared_ptr<Waiting>>;
  void send(const Companions& all);
  void send_group(const Companions& group);
  std::vector<jobs::Submitted> submit_group(const Companions& group);
  void connect();

  pg::Dsn dsn_;
  // Of the thread that sends; busy_ says that there is one.
  std::unique_ptr<pg::Session> session_;
  jobs::Environment environment_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // State below is protected by mutex_.
  Companions waiting_;
  bool busy_ = false;
  long transactions_ = 0;
};

}  // namespace lockkeeper::client
