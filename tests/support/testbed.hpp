#pragma once
// A real server for a test process, a database of its own for each test, and a small language to
// submit jobs and ask what became of them. The server dies with the process, also by kill -9.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/client.hpp"
#include "jobs/queue.hpp"
#include "pg/session.hpp"
#include "service/embedded_server.hpp"
#include "service/service.hpp"

namespace lockkeeper::test {

/// The server of this process; made at first use.
service::EmbeddedServer& server();

/// Owner of every test database: no superuser, so that every test proves that none is needed.
inline constexpr const char* kOwner = "keeper";

/// A fresh database with the lockkeeper schema, for one test.
class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Connection string of the test's database, as its owner or as `role`.
  [[nodiscard]] pg::Dsn dsn(const std::string& role = kOwner) const;
  /// The first column of the first row of `sql`, as the superuser; "" for NULL or no row.
  std::string value(const std::string& sql);
  void execute(const std::string& sql);
  /// Runs as the owner of the database.
  void as_owner(const std::string& sql);

  JobId submit(const std::string& sql, const client::ApplyOptions& options = {});
  std::vector<JobId> apply(const std::string& text, const client::ApplyOptions& options = {});
  std::string state_of(JobId job);
  std::string error_of(JobId job, const std::string& field = "sqlstate");
  /// Waits until the jobs have ended; gives their states. Fails the test after a minute.
  std::vector<std::string> ends_of(const std::vector<JobId>& jobs);
  std::string end_of(JobId job) { return ends_of({job}).front(); }
  /// Waits until `sql` gives `wanted`: a fact in the tables, never a time.
  void await(const std::string& sql, const std::string& wanted);

  /// What a job runs that is to stand still: until let_go(), or until it is stopped. A gate of its
  /// own for each number.
  static std::string until_released(int gate = 1);
  void hold(int gate = 1);
  /// Waits until `jobs` jobs stand at the gate.
  void await_held(int jobs = 1, int gate = 1);
  void let_go(int gate = 1) { gates_.erase(gate); }

  /// The first unfinished jobs, for the message of a test that fails.
  std::string queue_now();

  /// Starts workers in this process; stopped by stop_workers() or at the end of the test.
  service::Service& start_workers(int threads = 4,
                                  const std::function<void(config::WorkSettings&)>& change = {});
  void stop_workers() { service_.reset(); }

  std::string database_;

 private:
  std::unique_ptr<pg::Session> admin_;
  std::unique_ptr<pg::Session> owner_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<service::Service> service_;
  std::map<int, std::unique_ptr<pg::Session>> gates_;
};

/// A lockkeeper process of its own, for what must die. Its log goes to a file.
class WorkerProcess {
 public:
  WorkerProcess(const pg::Dsn& dsn, const std::string& testpoint = {},
                const std::vector<std::string>& more = {},
                const std::string& binary = LOCKKEEPER_BINARY);
  ChildProcess& process() { return *process_; }
  [[nodiscard]] std::string log() const;
  ~WorkerProcess();

 private:
  std::string log_file_;
  std::unique_ptr<ChildProcess> process_;
};

/// Runs the lockkeeper command; gives exit code, output and errors.
struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};
Ran run_command(const std::vector<std::string>& words, const std::string& input = {},
                const std::vector<std::string>& environment = {});

/// Looks until it is so; false after a minute. For facts that nothing announces: a lock that is
/// waited for, a line in a log, a metric.
bool eventually(const std::function<bool()>& so);

std::string read_file(const std::string& path);
/// A directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace lockkeeper::test
