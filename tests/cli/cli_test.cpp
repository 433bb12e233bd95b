// The commands as a user types them: what they print, and their exit codes.
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "pg/migrator.hpp"
#include "service/embedded_server.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

using Json = nlohmann::json;

class Cli : public DatabaseTest {
 protected:
  Ran lk(std::vector<std::string> words, const std::string& input = {}) {
    return run_command(words, input, {"LOCKKEEPER_DSN=" + dsn().conninfo()});
  }
};

TEST_F(Cli, submit_gives_the_job_and_wait_its_end) {
  start_workers();
  const auto plain = lk({"submit", "CREATE TABLE t (a int)"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(plain.out, "job 1\n");
  const auto waited = lk({"submit", "--wait", "ALTER TABLE t ADD b int"});
  EXPECT_EQ(waited.code, 0) << waited.err;
  EXPECT_NE(waited.out.find("synced"), std::string::npos);
  const auto failed = lk({"submit", "-w", "ALTER TABLE nope ADD b int"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("relation \"nope\" does not exist (42P01)"), std::string::npos)
      << failed.err;
}

TEST_F(Cli, promise_13_bad_input_shows_the_place_and_queues_nothing) {
  const auto ran = lk({"submit", "ALTER TABEL t ADD b int"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err,
            "1:7: error: syntax error at or near \"TABEL\" (42601)\n  ALTER TABEL t ADD b int\n    "
            "    ^\n");
  TemporaryDirectory folder;
  std::ofstream(folder.path() + "/1.sql") << "CREATE TABLE good (a int);";
  std::ofstream(folder.path() + "/2.sql") << "SELECT 1;\n\nCREATE TABLE bad (a int,);";
  const auto files = lk({"apply", folder.path()});
  EXPECT_EQ(files.code, 2);
  EXPECT_NE(files.err.find("/2.sql:3:25: error"), std::string::npos) << files.err;
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "0");
}

TEST_F(Cli, apply_takes_files_directories_and_standard_input) {
  start_workers();
  TemporaryDirectory folder;
  std::ofstream(folder.path() + "/2_b.sql") << "ALTER TABLE t ADD b int;";
  std::ofstream(folder.path() + "/1_a.sql") << "\xEF\xBB\xBF"
                                               "CREATE TABLE t (a int);";
  std::ofstream(folder.path() + "/notes.txt") << "not sql";
  EXPECT_EQ(lk({"apply", "--wait", folder.path()}).code, 0);
  EXPECT_EQ(lk({"apply", "-w", "-"}, "ALTER TABLE t ADD c int; ALTER TABLE t ADD d int").code, 0);
  EXPECT_EQ(
      value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0"),
      "4");
  EXPECT_EQ(lk({"apply", "-w", "-"}, "-- nothing\n").out, "nothing to do\n");
  EXPECT_EQ(lk({"apply", "/nowhere/x.sql"}).code, 2);
}

TEST_F(Cli, apply_knows_the_directories_of_other_tools_and_takes_nothing_back) {
  start_workers();
  TemporaryDirectory folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    const auto path = std::filesystem::path(folder.path()) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  write("prisma/20240101_init/migration.sql", "CREATE TABLE prisma (a int);");
  write("prisma/20240102_more/migration.sql", "ALTER TABLE prisma ADD b int;");
  write("prisma/migration_lock.toml", "provider = \"postgresql\"");
  write("diesel/2024-01-01-000000_init/up.sql", "CREATE TABLE diesel (a int);");
  write("diesel/2024-01-01-000000_init/down.sql", "DROP TABLE diesel;");
  write("go/1_init.up.sql", "CREATE TABLE go (a int);");
  write("go/1_init.down.sql", "DROP TABLE go;");
  for (const char* tool : {"prisma", "diesel", "go"}) {
    const auto ran = lk({"apply", "--wait", folder.path() + "/" + tool});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err.find("1 down.sql") != std::string::npos, tool != std::string("prisma"))
        << ran.err;
    EXPECT_EQ(value("SELECT to_regclass('" + std::string(tool) + "')"), tool);
  }
  write("empty/readme.txt", "");
  EXPECT_NE(lk({"apply", folder.path() + "/empty"}).err.find("*/migration.sql"), std::string::npos);
}

// Promise 10: what the whole queue waits for is told, too.
TEST_F(Cli, restore_and_purge_tell_programs_what_they_did) {
  start_workers();
  for (const char* sql : {"CREATE TABLE t (a int)", "DROP TABLE t"}) lk({"submit", "-w", sql});
  const auto restored = lk({"restore", "1", "--json"});
  EXPECT_EQ(Json::parse(restored.out), Json::parse(R"([{"id": 3, "existing": false}])"))
      << restored.out << restored.err;
  EXPECT_EQ(lk({"submit", "-w", "DROP TABLE t"}).code, 0);
  const auto purged = lk({"purge", "2", "--json"});
  EXPECT_EQ(Json::parse(purged.out),
            Json::parse(R"([{"id": 2, "name": "public.t", "problem": null, "later": false}])"))
      << purged.out << purged.err;
  const auto again = lk({"purge", "2", "--json"});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.out, "[]\n");
}

TEST_F(Cli, a_paused_queue_is_told_as_what_a_job_waits_for) {
  EXPECT_EQ(lk({"set", "queue", "paused"}).code, 0);
  EXPECT_EQ(lk({"submit", "CREATE TABLE t ()"}).code, 0);
  EXPECT_NE(lk({"jobs"}).out.find("\"set queue running\""), std::string::npos);
  EXPECT_EQ(lk({"set", "queue", "running"}).code, 0);
  EXPECT_EQ(lk({"jobs"}).out.find("set queue"), std::string::npos);
}

TEST_F(Cli, options_from_psql_are_looked_at) {
  as_owner("SELECT lockkeeper.submit('CREATE TABLE t ()', '{\"priority\": \"high\"}')");
  EXPECT_EQ(value("SELECT priority FROM lockkeeper.ddl_job"), "1");
  for (const char* options : {"{\"nonsense\": 1}", "{\"priority\": \"highest\"}"}) try {
      as_owner(std::string("SELECT lockkeeper.submit('CREATE TABLE t ()', '") + options + "')");
      ADD_FAILURE() << options;
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), "22023");
    }
}

TEST_F(Cli, single_transaction_is_all_or_nothing) {
  start_workers();
  EXPECT_EQ(
      lk({"apply", "-w", "-1", "-"}, "CREATE TABLE t (a int); ALTER TABLE nope ADD b int").code, 1);
  EXPECT_NE(lk({"show", "1"}).out.find("in: ALTER TABLE nope ADD b int"), std::string::npos);
  EXPECT_EQ(value("SELECT to_regclass('t')"), "");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history"), "1");
}

TEST_F(Cli, the_name_of_a_file_is_not_taken_for_a_statement) {
  TemporaryDirectory folder;
  const auto file = folder.path() + "/1.sql";
  std::ofstream(file) << "CREATE TABLE t (a int);";
  const auto submitted = lk({"submit", file});
  EXPECT_EQ(submitted.code, 2);
  EXPECT_NE(submitted.err.find("lockkeeper apply " + file), std::string::npos) << submitted.err;
  EXPECT_NE(lk({"plan", file}).err.find("lockkeeper plan --file " + file), std::string::npos);
}

TEST_F(Cli, what_would_fail_is_said_by_plan) {
  as_owner("CREATE SCHEMA app; CREATE TABLE app.t (a int)");
  TemporaryDirectory folder;
  std::ofstream(folder.path() + "/1.sql") << "SET search_path = app; ALTER TABLE t ADD b int; "
                                             "CREATE TABLE u (a int); CREATE TABLE t (a int)";
  std::ofstream(folder.path() + "/2.sql") << "ALTER TABLE app.u ADD b int; DROP TABLE nope";
  std::vector<std::string> problems;
  for (const auto& plan : Json::parse(lk({"plan", "--json", "-f", folder.path()}).out))
    problems.push_back(plan["problems"].empty() ? "" : std::string(plan["problems"][0]));
  EXPECT_EQ(problems, (std::vector<std::string>{"", "", "", "", "there is no relation \"nope\""}));
  EXPECT_NE(lk({"plan", "CREATE TABLE app.t (a int)"})
                .out.find("would fail relation \"app.t\" is there already"),
            std::string::npos);
  // What a job before it may change is not known.
  lk({"submit", "CREATE TABLE nope (a int)"});
  EXPECT_EQ(lk({"plan", "DROP TABLE nope"}).out.find("would fail"), std::string::npos);
}

TEST_F(Cli, graph_watch_cutover_and_config_have_json_too) {
  as_owner("CREATE TABLE t (a int)");
  lk({"submit", "ALTER TABLE t ADD b int"});
  lk({"submit", "--postpone-cutover", "ALTER TABLE t ADD c int"});
  const auto graph = Json::parse(lk({"graph", "--json"}).out);
  EXPECT_EQ(graph[1]["waits_for"][0]["job"], 1);
  EXPECT_EQ(graph[1]["waits_for"][0]["object"], "relation:public.t");
  EXPECT_EQ(lk({"graph", "--json", "--dot"}).code, 2);
  EXPECT_EQ(Json::parse(lk({"cutover", "2", "--json"}).out)[0]["id"], 2);
  start_workers();
  const auto watched = lk({"watch", "1", "2", "--json"});
  EXPECT_EQ(watched.code, 0) << watched.err;
  std::istringstream lines(watched.out);
  std::map<int, std::string> last;
  for (std::string line; std::getline(lines, line);) {
    const auto job = Json::parse(line);
    last[job["id"]] = job["state"];
  }
  EXPECT_EQ(last, (std::map<int, std::string>{{1, "synced"}, {2, "synced"}}));
  EXPECT_EQ(Json::parse(lk({"config", "check", "--json"}).out)["good"], true);
}

TEST_F(Cli, an_open_transaction_that_has_submitted_is_told) {
  pg::Session holder(dsn(), "holder");
  holder.script("BEGIN; SELECT lockkeeper.submit('CREATE TABLE t (a int)')");
  await("SELECT max(clock_timestamp() - xact_start) > '1.2 s' FROM pg_stat_activity WHERE pid = " +
            std::to_string(holder.backend_pid()),
        "true");
  const auto told = Json::parse(lk({"blockers", "--json"}).out);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]["blocker"], "queue");
  EXPECT_EQ(told[0]["pid"], holder.backend_pid());
  EXPECT_NE(lk({"blockers"}).out.find("pid " + std::to_string(holder.backend_pid())),
            std::string::npos);
  holder.script("COMMIT");
  EXPECT_EQ(lk({"blockers", "--json"}).out, "[]\n");
}

TEST_F(Cli, a_worker_waits_for_a_server_that_does_not_answer_yet) {
  service::EmbeddedServer server;
  {
    pg::Session session(server.dsn(), "test");
    pg::migrate(session);
  }
  server.stop();
  {
    const WorkerProcess worker(server.dsn());
    EXPECT_TRUE(
        eventually([&] { return worker.log().find("cannot be served yet") != std::string::npos; }));
    server.start();
    EXPECT_TRUE(eventually([&] {
      return worker.log().find("serving database") != std::string::npos;
    })) << worker.log();
  }
  // A server that answers, and says no, is told at once.
  EXPECT_EQ(run_command({"work", "--dsn", server.dsn("nowhere").conninfo()}).code, 3);
}

TEST_F(Cli, a_key_is_submitted_once) {
  EXPECT_EQ(lk({"submit", "--key", "k", "CREATE TABLE t (a int)"}).out, "job 1\n");
  EXPECT_EQ(lk({"submit", "--key", "k", "CREATE TABLE t (a int)"}).out,
            "job 1 (submitted before with this key)\n");
}

TEST_F(Cli, jobs_show_cancel_and_history_agree_with_the_tables) {
  as_owner("CREATE TABLE t (a int)");
  lk({"submit", "ALTER TABLE t ADD b int"});
  lk({"submit", "ALTER TABLE t ADD c int"});
  const auto jobs = Json::parse(lk({"jobs", "--json"}).out);
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[1]["dependency_id"], 1);
  EXPECT_EQ(jobs[1]["objects"], Json::array({"relation:public.t"}));
  EXPECT_NE(lk({"jobs"}).out.find("job 1"), std::string::npos);
  EXPECT_EQ(lk({"cancel", "2"}).out, "job 2 cancelled\n");
  EXPECT_EQ(lk({"cancel", "77"}).code, 1);
  EXPECT_EQ(Json::parse(lk({"show", "2", "--json"}).out)["state"], "cancelled");
  EXPECT_NE(lk({"show", "1"}).out.find("ALTER TABLE t ADD b int"), std::string::npos);
  EXPECT_EQ(lk({"show", "77"}).code, 1);
  EXPECT_EQ(Json::parse(lk({"history", "--json"}).out)[0]["error"]["sqlstate"], "57014");
  start_workers();
  EXPECT_EQ(lk({"watch", "1"}).code, 0);
  EXPECT_EQ(lk({"watch", "--until-empty"}).code, 0);
  EXPECT_EQ(lk({"jobs"}).out, "no unfinished jobs\n");
}

TEST_F(Cli, plan_says_what_would_happen_and_changes_nothing) {
  as_owner("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (a int)");
  lk({"submit", "ALTER TABLE p ADD x int"});
  const auto ran =
      lk({"plan", "--json", "ALTER TABLE t ALTER a TYPE bigint, ADD p int REFERENCES p"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto plan = Json::parse(ran.out)[0];
  EXPECT_EQ(plan["action"], "alter table");
  EXPECT_EQ(plan["locks"][0]["lock"], "ACCESS EXCLUSIVE");
  EXPECT_EQ(plan["locks"][0]["rewrites"], true);
  EXPECT_EQ(plan["waits_for"][0]["job"], 1);
  EXPECT_NE(lk({"plan", "ALTER TABLE t ADD b int"}).out.find("ACCESS EXCLUSIVE"),
            std::string::npos);
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "1");
}

TEST_F(Cli, what_is_given_wins_over_the_environment) {
  const auto ran = run_command({"jobs", "--dsn", dsn().conninfo()}, {},
                               {"LOCKKEEPER_DSN=postgresql://nowhere.invalid/x"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(run_command({"jobs"}, {}, {"LOCKKEEPER_DSN=" + dsn().conninfo()}).code, 0);
  EXPECT_EQ(run_command({"jobs"}, {}, {"LOCKKEEPER_DSN=postgresql://nowhere.invalid/x"}).code, 3);
}

TEST_F(Cli, words_that_it_does_not_know_are_told) {
  EXPECT_EQ(lk({"sumbit", "x"}).code, 2);
  EXPECT_EQ(lk({"submit"}).code, 2);
  EXPECT_EQ(lk({"submit", "--prioritty", "high", "SELECT 1"}).code, 2);
  EXPECT_EQ(lk({"submit", "--priority", "urgent", "SELECT 1"}).code, 2);
  EXPECT_EQ(lk({"show", "abc"}).code, 2);
  EXPECT_EQ(lk({}).code, 2);
  for (const char* command :
       {"migrate", "submit", "apply", "plan", "jobs", "show", "watch", "cancel", "alter", "cutover",
        "history", "work", "dev", "version", "completion"}) {
    const auto help = lk({command, "--help"});
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_NE(help.out.find("Example:"), std::string::npos) << command;
  }
}

TEST_F(Cli, a_backfill_is_seen_altered_and_cut_over) {
  as_owner(
      "CREATE TABLE big (id int, a int, txt text); INSERT INTO big SELECT i, i, repeat('x', 80) "
      "FROM "
      "generate_series(1, 12000) i");
  const auto plan = lk({"plan", "ALTER TABLE big ALTER a TYPE bigint"});
  EXPECT_NE(plan.out.find("in 4 online steps"), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("size       1."), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("note       "), std::string::npos);
  const auto refused = lk({"submit", "--refuse", "rewrite", "ALTER TABLE big SET UNLOGGED"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("refused, as you asked"), std::string::npos) << refused.err;
  EXPECT_EQ(lk({"submit", "--refuse", "paint", "SELECT 1"}).code, 2);
  start_workers(2);
  const auto submitted = lk({"submit", "--postpone-cutover", "--max-speed", "1", "--threads", "1",
                             "--refuse", "rewrite", "ALTER TABLE big ALTER a TYPE bigint"});
  EXPECT_EQ(submitted.out, "job 1\n") << submitted.err;
  await("SELECT count(*) FROM lockkeeper.progress WHERE blocks_done > 0", "1");
  EXPECT_NE(lk({"jobs"}).out.find(" rows/s"), std::string::npos);
  EXPECT_NE(lk({"show", "1"}).out.find("progress  "), std::string::npos);
  EXPECT_EQ(lk({"alter", "1"}).code, 2);
  EXPECT_EQ(lk({"alter", "77", "--threads", "2"}).code, 1);
  EXPECT_EQ(lk({"alter", "1", "--max-speed", "0"}).code, 0);
  await("SELECT error->>'message' LIKE '%cut-over%' FROM lockkeeper.jobs", "true");
  EXPECT_NE(lk({"jobs"}).out.find("lockkeeper cutover 1"), std::string::npos);
  EXPECT_EQ(lk({"cutover", "1"}).code, 0);
  EXPECT_EQ(end_of(JobId{1}), "synced");
  EXPECT_EQ(lk({"cutover", "1"}).code, 1);
}

TEST_F(Cli, a_server_that_is_not_there_is_told_in_few_words) {
  const auto ran = run_command({"jobs", "--dsn", "host=/nowhere dbname=x"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("hint: set --dsn"), std::string::npos) << ran.err;
  EXPECT_EQ(run_command({"jobs", "--dsn", "nonsense=1"}).code, 2);
}

TEST_F(Cli, completion_knows_every_command_and_option) {
  const auto script = lk({"completion", "bash"}).out;
  for (const char* word : {"history", "--as-barrier", "--single-transaction", "--until-empty"})
    EXPECT_NE(script.find(word), std::string::npos) << word;
  EXPECT_EQ(run_to_end({"bash", "-c",
                        script + "\nCOMP_WORDS=(lockkeeper his); COMP_CWORD=1; _lockkeeper; "
                                 "echo \"${COMPREPLY[@]}\""}),
            "history\n");
}

TEST_F(Cli, a_statement_newer_than_the_grammar_is_refused_with_that_reason) {
  // Any server newer than the grammar will do; without one there is nothing to see.
  pg::Session session(dsn(), "test");
  if (session.server_version() / 10000 <= 15)
    GTEST_SKIP() << "the server is not newer than the grammar";
  as_owner("CREATE TABLE t (a int, b int)");
  const std::string sql =
      "MERGE INTO t USING t AS s ON t.a = s.a WHEN NOT MATCHED BY SOURCE THEN DELETE";
  if (session.server_version() < 170000) GTEST_SKIP() << "needs a form of PostgreSQL 17";
  const auto ran = lk({"submit", sql});
  if (ran.code == 0) GTEST_SKIP() << "the grammar knows it";
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("newer than the grammar"), std::string::npos) << ran.err;
  start_workers();
  EXPECT_EQ(lk({"submit", "--wait", "--as-barrier", sql}).code, 0);
}

}  // namespace
}  // namespace lockkeeper::test
