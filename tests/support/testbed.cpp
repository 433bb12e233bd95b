#include "support/testbed.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "base/log.hpp"
#include "jobs/view.hpp"
#include "pg/migrator.hpp"
#include "pg/quote.hpp"

namespace lockkeeper::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);
std::unique_ptr<service::EmbeddedServer> the_server;

class ServerEnd final : public ::testing::Environment {
 public:
  void TearDown() override { the_server.reset(); }
};

void make_template() {
  pg::Session admin(the_server->dsn(), "test");
  admin.script(std::string("CREATE ROLE ") + kOwner + " LOGIN");
  admin.script(std::string("CREATE DATABASE lk_template OWNER ") + kOwner);
  pg::Session owner(the_server->dsn("lk_template").with("user", kOwner), "test");
  pg::migrate(owner);
}

std::string temporary_file() {
  std::string path = (std::filesystem::temp_directory_path() / "lockkeeper-test-XXXXXX").string();
  const int fd = mkstemp(path.data());
  if (fd >= 0) close(fd);
  return path;
}

}  // namespace

service::EmbeddedServer& server() {
  if (!the_server) {
    log::configure(log::Level::off, log::Format::text);
    // log::configure above keeps in-process workers quiet; set LOCKKEEPER_TEST_LOG to hear them.
    if (std::getenv("LOCKKEEPER_TEST_LOG") != nullptr)
      log::configure(log::Level::info, log::Format::text);
    ::testing::AddGlobalTestEnvironment(new ServerEnd);
    the_server = std::make_unique<service::EmbeddedServer>();
    make_template();
  }
  return *the_server;
}

void DatabaseTest::SetUp() {
  static std::atomic<int> number{0};
  database_ = "test_" + std::to_string(++number);
  pg::Session maker(server().dsn(), "test");
  maker.script("CREATE DATABASE " + database_ + " TEMPLATE lk_template OWNER " + kOwner);
  admin_ = std::make_unique<pg::Session>(server().dsn(database_), "test", 30000);
  owner_ = std::make_unique<pg::Session>(dsn(), "test", 30000);
}

void DatabaseTest::TearDown() {
  gates_.clear();
  service_.reset();
  client_.reset();
  owner_.reset();
  admin_.reset();
  pg::Session maker(server().dsn(), "test");
  maker.script("DROP DATABASE IF EXISTS " + database_ + " WITH (FORCE)");
}

pg::Dsn DatabaseTest::dsn(const std::string& role) const {
  return server().dsn(database_).with("user", role);
}

std::string DatabaseTest::value(const std::string& sql) {
  if (admin_->broken())
    admin_ = std::make_unique<pg::Session>(server().dsn(database_), "test", 30000);
  const auto rows = admin_->script("SELECT (" + sql + ")::text AS value");
  return rows.empty() ? "" : rows.front().text("value");
}

void DatabaseTest::execute(const std::string& sql) {
  if (admin_->broken())
    admin_ = std::make_unique<pg::Session>(server().dsn(database_), "test", 30000);
  admin_->script(sql);
}

void DatabaseTest::as_owner(const std::string& sql) { owner_->script(sql); }

JobId DatabaseTest::submit(const std::string& sql, const client::ApplyOptions& options) {
  if (!client_) client_ = std::make_unique<client::Client>(dsn());
  return client_->submit(sql, options).id;
}

std::vector<JobId> DatabaseTest::apply(const std::string& text,
                                       const client::ApplyOptions& options) {
  if (!client_) client_ = std::make_unique<client::Client>(dsn());
  std::vector<JobId> ids;
  for (const auto& job : client_->apply({{"test.sql", text}}, options)) ids.push_back(job.id);
  return ids;
}

std::string DatabaseTest::state_of(JobId job) {
  return value("SELECT state FROM lockkeeper.jobs WHERE id = " + job.str() +
               " UNION ALL SELECT state FROM lockkeeper.history WHERE id = " + job.str());
}

std::string DatabaseTest::error_of(JobId job, const std::string& field) {
  return value("SELECT error->>" + pg::quote_literal(field) +
               " FROM lockkeeper.history WHERE id = " + job.str());
}

std::string DatabaseTest::queue_now() {
  return value(
      "SELECT string_agg(format('%s %s %s waits=%s dep=%s claimed=%s by=%s tries=%s crashes=%s "
      "retry in %s floor=%s %s', j.id, j.pool, j.state, j.waits, lockkeeper.dependency_id(j.id), "
      "j.claimed_by, j.paused_by, j.tries, j.crashes, j.retry_at - clock_timestamp(), (SELECT "
      "max(floor) FROM lockkeeper.ddl_floor), j.error->>'message'), E'\\n' ORDER BY j.id) FROM "
      "(SELECT * FROM lockkeeper.ddl_job ORDER BY id LIMIT 12) AS j");
}

void DatabaseTest::await(const std::string& sql, const std::string& wanted) {
  std::string found;
  const bool so = eventually([&] {
    try {
      found = value(sql);
    } catch (const Error& error) {
      found = error.what();  // The server may be down on purpose.
    }
    return found == wanted;
  });
  if (!so)
    FAIL() << sql << "\n gives: " << found << "\n wanted: " << wanted << "\n queue:\n"
           << queue_now();
}

std::string DatabaseTest::until_released(int gate) {
  return "SELECT set_config('lock_timeout', '0', true), pg_advisory_xact_lock_shared(7700, " +
         std::to_string(gate) + ")";
}

void DatabaseTest::hold(int gate) {
  gates_[gate] = std::make_unique<pg::Session>(server().dsn(database_), "gate");
  gates_[gate]->script("SELECT pg_advisory_lock(7700, " + std::to_string(gate) + ")");
}

void DatabaseTest::await_held(int jobs, int gate) {
  await(
      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7700 AND objid = " +
          std::to_string(gate) +
          " AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = "
          "current_database())",
      std::to_string(jobs));
}

bool eventually(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::vector<std::string> DatabaseTest::ends_of(const std::vector<JobId>& jobs) {
  std::string ids;
  for (const auto& job : jobs) ids += (ids.empty() ? "" : ",") + job.str();
  await("SELECT count(*) FROM lockkeeper.ddl_history WHERE id IN (" + ids + ")",
        std::to_string(jobs.size()));
  std::vector<std::string> states;
  for (const auto& job : jobs) states.push_back(state_of(job));
  return states;
}

service::Service& DatabaseTest::start_workers(
    int threads, const std::function<void(config::WorkSettings&)>& change) {
  config::WorkSettings settings;
  settings.dsns = {dsn().conninfo()};
  settings.workers = threads;
  settings.metrics_address.clear();
  settings.liveness = std::chrono::milliseconds(50);
  if (change) change(settings);
  service_ = std::make_unique<service::Service>(settings);
  service_->start();
  return *service_;
}

WorkerProcess::WorkerProcess(const pg::Dsn& dsn, const std::string& testpoint,
                             const std::vector<std::string>& more, const std::string& binary)
    : log_file_(temporary_file()) {
  // Not beyond the test, even if that is killed.
  std::vector<std::string> words = {"setpriv", "--pdeathsig=KILL", "--",    binary,
                                    "work",    "--no-metrics",     "--dsn", dsn.conninfo()};
  if (std::find(more.begin(), more.end(), "--workers") == more.end())
    words.insert(words.end(), {"--workers", "2"});
  words.insert(words.end(), more.begin(), more.end());
  ChildOptions options;
  options.stdout_file = options.stderr_file = log_file_;
  if (!testpoint.empty()) options.environment.push_back("LOCKKEEPER_TESTPOINT=" + testpoint);
  process_ = std::make_unique<ChildProcess>(words, options);
}

WorkerProcess::~WorkerProcess() {
  process_.reset();
  unlink(log_file_.c_str());
}

std::string WorkerProcess::log() const { return read_file(log_file_); }

Ran run_command(const std::vector<std::string>& words, const std::string& input,
                const std::vector<std::string>& environment) {
  const std::string out = temporary_file();
  const std::string err = temporary_file();
  const std::string in = temporary_file();
  std::ofstream(in) << input;
  std::vector<std::string> line = {"sh", "-c", "exec \"$@\" < \"$0\"", in, LOCKKEEPER_BINARY};
  line.insert(line.end(), words.begin(), words.end());
  ChildOptions options;
  options.stdout_file = out;
  options.stderr_file = err;
  options.environment = environment;
  ChildProcess child(line, options);
  const auto code = child.wait(std::chrono::minutes(2));
  Ran ran{code.value_or(-1), read_file(out), read_file(err)};
  for (const auto& file : {out, err, in}) unlink(file.c_str());
  return ran;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = (std::filesystem::temp_directory_path() / "lockkeeper-test-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) throw Error(Retry::never, "cannot make a directory");
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lockkeeper::test
