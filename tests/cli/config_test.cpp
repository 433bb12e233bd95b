// Settings from a file, the environment and flags: which holds, what is refused, and SIGHUP.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Config : public DatabaseTest {
 protected:
  std::string file(const std::string& text) {
    const auto path = directory_.path() + "/lockkeeper.toml";
    std::ofstream(path) << text;
    return path;
  }

  TemporaryDirectory directory_;
};

std::string line_of(const std::string& text, const std::string& name) {
  const auto at = ("\n" + text).find("\n" + name + " ");
  return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

TEST_F(Config, a_flag_goes_before_the_environment_and_that_before_the_file) {
  const auto path = file("workers = 3\npoll = 1.5\nlease = 9\nflush-each-job = true\n");
  const auto ran = run_command({"config", "show", "--config", path, "--poll", "2.5"}, {},
                               {"LOCKKEEPER_LEASE_SECONDS=7"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  const auto has = [&](const std::string& name, const std::string& from, const std::string& value) {
    const auto line = line_of(ran.out, name);
    return line.find(" " + from + " ") != std::string::npos &&
           line.find(" " + value + " ") != std::string::npos;
  };
  EXPECT_TRUE(has("workers", "file", "3")) << ran.out;
  EXPECT_TRUE(has("poll", "flag", "2.5")) << ran.out;
  EXPECT_TRUE(has("lease", "environment", "7")) << ran.out;
  EXPECT_TRUE(has("flush-each-job", "file", "true")) << ran.out;
  EXPECT_TRUE(has("retries", "default", "512")) << ran.out;
}

TEST_F(Config, passwords_are_not_shown) {
  const auto path = file("dsn = 'host=h password=topsecret'\n");
  const auto ran = run_command({"config", "show", "--config", path});
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find("host='h'"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("topsecret"), std::string::npos) << ran.out;
}

TEST_F(Config, what_cannot_be_taken_is_refused_with_its_place) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\nworker = 3\n", ":2:10: error: there is no setting \"worker\""},
      {"workers = \"many\"\n", ":1:11: error: \"workers\": Value many not in range"},
      {"poll = 0\n", ":1:8: error: \"poll\": Value 0 not in range"},
      {"workers: 3\n", ":1:8: error: "},
      {"poll = nan\n", ":1:8: error: \"poll\": a time is to be a number of seconds"},
      {"\nmetrics = '127.0.0.1:99999'\n",
       ":2:11: error: \"metrics\": \"127.0.0.1:99999\" is no address"},
      {"log-format = 'xml'\n", ":1:14: error: \"log-format\": "},

      {"workers = 3\nworkers = 4\n", ":2:11: error: "},
      {"[work]\nworkers = 3\n", ":1:1: error: \"work\" is to be"},
      {"config = 'other.toml'\n", "there is no setting \"config\""},
      {"log-level = 'loud'\n", ":1:13: error: \"log-level\": unknown log level \"loud\""}};
  for (const auto& [text, message] : cases) {
    const auto path = file(text);
    const auto ran = run_command({"config", "check", "--config", path});
    EXPECT_EQ(ran.code, 2) << text;
    EXPECT_NE(ran.err.find(message), std::string::npos) << text << ran.err;
    // Work itself takes no more than check does.
    const auto working = run_command({"work", "--config", path, "--dsn", dsn().conninfo()});
    EXPECT_EQ(working.code, 2) << text;
  }
  EXPECT_EQ(run_command({"config", "check", "--config", "/nowhere.toml"}).code, 2);
  const auto ran = run_command({"config", "check", "--config", file("\n\ndsn = 'nonsense'\n")});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find(":3:7: error: \"dsn\": "), std::string::npos) << ran.err;
  EXPECT_EQ(run_command({"config", "check", "--config", file("workers = 3\n")}).code, 0);
}

// A message shows the place in a file, and never what stands there.
TEST_F(Config, no_message_shows_a_password) {
  for (const std::string text :
       {"dsn = \"postgresql://u:topsecret@h/db\n", "password = 'topsecret'\n",
        "dsn = [['postgresql://u:topsecret@h']]\n", "dsn = 'host=h password=x topsecret'\n",
        "dsn = 'host=h sslpassword=topsecret'\n", "dsn = 'postgresql://u:x/topsecret@h/d'\n",
        "dsn = 'postgresql://u:1/topsecret@h/d'\n", "dsn = 'postgresql://u:x@topsecret@h/d'\n",
        "dsn = 'postgresql://u:x@topsecret:1/d@h/d'\n"}) {
    const auto path = file(text);
    for (const std::string verb : {"check", "show"}) {
      const auto ran = run_command({"config", verb, "--config", path});
      EXPECT_EQ((ran.out + ran.err).find("topsecret"), std::string::npos)
          << text << ran.out << ran.err;
    }
  }
}

TEST_F(Config, a_password_is_not_in_the_list_of_processes) {
  WorkerProcess worker(dsn().with("password", "topsecret"), {},
                       {"-d" + dsn().with("password", "topsecret").conninfo()});
  EXPECT_EQ(end_of(submit("CREATE TABLE t (a int)")), "synced");
  std::ifstream in("/proc/" + std::to_string(worker.process().pid()) + "/cmdline");
  const std::string words((std::istreambuf_iterator<char>(in)), {});
  EXPECT_NE(words.find("--dsn"), std::string::npos) << words;
  EXPECT_EQ(words.find("topsecret"), std::string::npos) << words;
}

TEST_F(Config, of_metrics_and_no_metrics_the_one_of_higher_rank_holds) {
  const auto path = file("no-metrics = true\n");
  const auto ran = run_command({"config", "show", "--config", path, "--metrics", "127.0.0.1:1"});
  EXPECT_NE(line_of(ran.out, "no-metrics").find(" default "), std::string::npos) << ran.out;
  EXPECT_NE(line_of(ran.out, "metrics").find(" flag "), std::string::npos) << ran.out;
}

TEST_F(Config, a_database_that_is_not_there_keeps_nobody_from_serving_the_others) {
  const auto log = directory_.path() + "/log";
  ChildOptions options;
  options.stdout_file = options.stderr_file = log;
  ChildProcess worker({LOCKKEEPER_BINARY, "work", "--no-metrics", "--dsn",
                       "host=/nowhere dbname=gone", "--dsn", dsn().conninfo()},
                      options);
  EXPECT_EQ(end_of(submit("CREATE TABLE t (a int)")), "synced");
  EXPECT_NE(read_file(log).find("database cannot be served yet"), std::string::npos);
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.wait(std::chrono::seconds(60)), 0);
  // What a server refuses is told at once.
  const auto refused =
      run_command({"work", "--no-metrics", "--dsn", dsn().with("dbname", "nowhere").conninfo()});
  EXPECT_EQ(refused.code, 3) << refused.err;
}

TEST_F(Config, hangup_reads_the_file_again_and_a_bad_one_changes_nothing) {
  const auto path = file("workers = 1\nreorg-workers = 1\npoll = 0.05\n");
  const std::vector<std::string> words = {
      LOCKKEEPER_BINARY, "work", "--no-metrics", "--dsn", dsn().conninfo(), "--config", path};
  const auto log = directory_.path() + "/log";
  ChildOptions options;
  options.stdout_file = options.stderr_file = log;
  ChildProcess worker(words, options);
  hold();
  std::vector<JobId> jobs;
  for (int i = 0; i < 3; ++i) jobs.push_back(submit(until_released()));
  await_held(1);
  file("workers = 0\n");
  worker.signal(SIGHUP);
  EXPECT_TRUE(
      eventually([&] { return read_file(log).find("the old ones hold") != std::string::npos; }));
  EXPECT_TRUE(!worker.poll());
  // What cannot be read at all, and many at once.
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  for (int i = 0; i < 200; ++i) worker.signal(SIGHUP);
  EXPECT_TRUE(
      eventually([&] { return read_file(log).find("it is no file") != std::string::npos; }));
  std::filesystem::remove(path);
  EXPECT_TRUE(!worker.poll());
  await_held(1);
  file("workers = 3\nreorg-workers = 3\n");
  worker.signal(SIGHUP);
  await_held(3);
  EXPECT_NE(read_file(log).find("a restart only settings=poll"), std::string::npos)
      << read_file(log);
  let_go();
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(3, "synced"));
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.wait(std::chrono::seconds(60)), 0);
}

TEST_F(Config, the_table_in_the_documents_is_the_codes) {
  const auto ran = run_command({"config", "show", "--markdown"});
  const auto document = read_file(std::string(LOCKKEEPER_SOURCE) + "/docs/configuration.md");
  EXPECT_NE(document.find(ran.out), std::string::npos)
      << "docs/configuration.md is to hold what this prints: lockkeeper config show --markdown\n"
      << ran.out;
}

}  // namespace
}  // namespace lockkeeper::test
