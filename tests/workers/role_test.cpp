// Promise 12: a job runs with the rights of the role that submitted it, not with the worker's.
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Role : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    try {
      execute(
          "CREATE ROLE plain LOGIN; CREATE ROLE plain_group; GRANT plain_group TO plain; GRANT "
          "plain TO keeper");
    } catch (const Error&) {
      // Roles belong to the server: an earlier test of this process made them.
    }
    as_owner(
        "CREATE SCHEMA own; CREATE TABLE secret (a int); INSERT INTO secret VALUES (42);"
        "SELECT lockkeeper.grant_use('plain')");
    execute("ALTER SCHEMA own OWNER TO plain");
    start_workers();
  }
  JobId submit_as_plain(const std::string& sql, const client::ApplyOptions& options = {}) {
    client::Client client(dsn("plain"));
    return client.submit(sql, options).id;
  }
};

TEST_F(Role, what_it_may_do_the_job_may_and_it_owns_what_it_makes) {
  const auto job = submit_as_plain("CREATE TABLE own.t (a int)");
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(value("SELECT tableowner FROM pg_tables WHERE tablename = 't'"), "plain");
}

TEST_F(Role, promise_12_what_it_may_not_do_the_job_may_not) {
  for (const char* sql :
       {"ALTER TABLE secret ADD b int", "DROP TABLE secret",
        "CREATE TABLE own.c AS SELECT * FROM secret", "CREATE INDEX CONCURRENTLY ON secret (a)",
        "VACUUM FULL lockkeeper_nothing", "DO $$ BEGIN DROP TABLE secret; END $$"}) {
    const auto job = submit_as_plain(sql);
    EXPECT_EQ(end_of(job), "cancelled") << sql;
  }
  EXPECT_EQ(value("SELECT count(*) FROM secret"), "1");
}

TEST_F(Role, promise_12_no_code_of_the_role_can_become_the_worker) {
  client::Client client(dsn("plain"));
  const std::string evil =
      "CREATE FUNCTION own.evil() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; DROP TABLE "
      "public.secret; RETURN 1; END $$";
  EXPECT_EQ(end_of(submit_as_plain(evil)), "synced");
  for (const char* sql :
       {"DO $$ BEGIN RESET ROLE; DROP TABLE public.secret; END $$",
        "DO $$ BEGIN SET ROLE keeper; DROP TABLE public.secret; END $$",
        "DO $$ BEGIN SET LOCAL SESSION AUTHORIZATION DEFAULT; DROP TABLE public.secret; END $$",
        "DO $$ BEGIN PERFORM set_config('role', 'none', false); DROP TABLE public.secret; END $$",
        "DO $$ BEGIN COMMIT; RESET ROLE; DROP TABLE public.secret; END $$", "SELECT own.evil()",
        "CREATE TABLE own.e (a int DEFAULT own.evil())",
        "ALTER TABLE own.e ADD b int DEFAULT own.evil()",
        "ALTER FUNCTION pg_temp.lockkeeper_run(text) SECURITY INVOKER"})
    end_of(submit_as_plain(sql));
  // A deferred trigger fires at the end of the transaction; it must not fire as the worker.
  const auto deferred = client.apply({{"",
                                       "CREATE TABLE own.d (a int); CREATE FUNCTION own.late() "
                                       "RETURNS trigger LANGUAGE plpgsql AS $$ "
                                       "BEGIN RESET ROLE; DROP TABLE public.secret; RETURN NULL; "
                                       "END $$; CREATE CONSTRAINT TRIGGER l "
                                       "AFTER INSERT ON own.d DEFERRABLE INITIALLY DEFERRED FOR "
                                       "EACH ROW EXECUTE FUNCTION own.late(); "
                                       "INSERT INTO own.d VALUES (1)"}});
  end_of(deferred.back().id);
  EXPECT_EQ(value("SELECT to_regclass('public.secret')"), "secret");
}

// Each of these once worked.
TEST_F(Role, promise_12_known_ways_out_are_closed) {
  client::Client client(dsn("plain"));
  const auto run = [&](const std::string& sql) {
    for (const auto& job : client.apply({{"", sql}})) end_of(job.id);
  };
  const std::string out = "CREATE TABLE IF NOT EXISTS public.pwned AS SELECT current_user::text";
  // A trigger raises the code that sends a statement outside of its transaction.
  run("CREATE TABLE own.t1 (a int); CREATE FUNCTION own.f1() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN "
      "BEGIN EXECUTE 'reset role'; EXECUTE '" +
      out +
      "'; EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION "
      "'again' USING ERRCODE = '25001'; END; RETURN NEW; END $$; CREATE TRIGGER x BEFORE INSERT ON "
      "own.t1 "
      "FOR EACH ROW EXECUTE FUNCTION own.f1()");
  run("INSERT INTO own.t1 VALUES (1)");
  // A deferred trigger defers another one again, which would fire at COMMIT.
  run("CREATE TABLE own.c1 (a int); CREATE TABLE own.c2 (a int); CREATE FUNCTION own.f2() RETURNS "
      "trigger "
      "LANGUAGE plpgsql AS $$ BEGIN EXECUTE '" +
      out +
      "'; RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER "
      "c2t AFTER INSERT ON own.c2 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
      "own.f2();"
      "CREATE FUNCTION own.f3() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'set "
      "constraints all "
      "deferred'; EXECUTE 'insert into own.c2 values (1)'; RETURN NULL; END $$; CREATE CONSTRAINT "
      "TRIGGER "
      "c1t AFTER INSERT ON own.c1 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
      "own.f3()");
  run("INSERT INTO own.c1 VALUES (1)");
  EXPECT_EQ(value("SELECT count(*) FROM own.c1"), "0");
  // An overload of the function that runs the statements, found by a type of the same name.
  run("DO $d$ BEGIN CREATE FUNCTION pg_temp.lockkeeper_run(VARIADIC a pg_catalog.text[]) RETURNS "
      "void "
      "LANGUAGE plpgsql AS 'BEGIN " +
      out +
      "; END'; CREATE DOMAIN own.text AS pg_catalog.text; PERFORM "
      "set_config('search_path', 'own,pg_catalog', true); END $d$");
  EXPECT_EQ(value("SELECT to_regclass('public.pwned')"), "");
  EXPECT_EQ(value("SELECT to_regclass('public.secret')"), "secret");
}

TEST_F(Role, a_specification_that_no_worker_could_read_is_refused) {
  pg::Session plain(dsn("plain"), "test");
  for (
      const char* spec :
      {R"([{"action":"x","statements":[null],"refs":[],"search_path":"public"}])",
       R"([{"action":"x","statements":[],"refs":[],"search_path":"public","transactional":false}])",
       R"([{"action":"x","statements":["SELECT 1"],"refs":[],"search_path":"",)"
       R"("settings":{"a":1}}])",
       R"([{"action":"x","statements":["SELECT 1"],"refs":[]}])"})
    EXPECT_THROW(
        plain.statement("SELECT id FROM lockkeeper.enqueue($1::jsonb, '{}')", pg::Params::of(spec)),
        Error)
        << spec;
}

TEST_F(Role, the_text_of_another_roles_jobs_is_not_shown) {
  stop_workers();
  submit("COMMENT ON TABLE secret IS 'hunter2'");
  pg::Session plain(dsn("plain"), "test");
  EXPECT_EQ(plain.script("SELECT statement FROM lockkeeper.jobs").front().text("statement"),
            "(of role keeper)");
  EXPECT_NE(value("SELECT statement FROM lockkeeper.jobs").find("hunter2"), std::string::npos);
}

// Nor is it kept for those who may see it: queue and history are read by more people than
// pg_authid.
TEST_F(Role, a_password_is_hashed_before_it_is_queued) {
  const std::string sql = "ALTER ROLE plain PASSWORD 'hunter2'";
  EXPECT_EQ(end_of(submit_as_plain(sql)), "synced");
  pg::Session plain(dsn("plain"), "test");
  const auto from_psql = plain.statement("SELECT lockkeeper.submit($1) AS id", pg::Params::of(sql));
  EXPECT_EQ(end_of(JobId{from_psql.front().integer("id")}), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history AS h WHERE h::text LIKE '%SCRAM-%'"),
            "2");
  EXPECT_EQ(
      value("SELECT count(*) FROM lockkeeper.ddl_history AS h WHERE h::text LIKE '%hunter2%'"),
      "0");
  EXPECT_EQ(value("SELECT left(rolpassword, 14) FROM pg_authid WHERE rolname = 'plain'"),
            "SCRAM-SHA-256$");
  execute("ALTER ROLE plain PASSWORD NULL");
}

TEST_F(Role, passwords_that_a_statement_needs_do_not_stay_in_history) {
  execute(
      "CREATE FOREIGN DATA WRAPPER nothing; GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO keeper");
  as_owner("CREATE SERVER far FOREIGN DATA WRAPPER nothing; CREATE TABLE logins (password text)");
  const auto well = apply(
      "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'u', password 'hunter2');\n"
      "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET password 'hunter2''s');\n"
      "DO $$ BEGIN IF false THEN CREATE ROLE x LOGIN PASSWORD 'hunter2'; END IF; END $$;\n"
      "BEGIN; COMMENT ON TABLE logins IS 'x'; DO $q$ BEGIN PERFORM 'host=a password=hunter2 "
      "user=b'; END $q$; COMMIT;"
      "INSERT INTO logins VALUES ('hunter2'); UPDATE logins SET password = 'secret of the "
      "application'");
  EXPECT_EQ(ends_of(well), std::vector<std::string>(6, "synced"));
  for (const char* sql :
       {"CREATE SUBSCRIPTION u CONNECTION 'postgresql://u:hunter2@nohost/db' PUBLICATION p",
        "CREATE USER MAPPING FOR keeper SERVER far OPTIONS (password 'x''hunter2')",
        "ALTER USER MAPPING FOR keeper SERVER far OPTIONS (SET password E'hunter2')",
        "CREATE FOREIGN TABLE ft (a int) SERVER far OPTIONS (password 'hunter2')"})
    end_of(submit(sql));
  // A string without an end must not keep a job from its own.
  pg::Session psql(dsn(), "psql");
  const auto open = psql.statement("SELECT lockkeeper.submit($1) AS id",
                                   pg::Params::of(std::string("CREATE ROLE x PASSWORD 'unended")));
  EXPECT_EQ(end_of(JobId{open.front().integer("id")}), "cancelled");
  const auto ill =
      submit("CREATE SUBSCRIPTION s CONNECTION 'host=/nowhere password=hunter2' PUBLICATION p");
  await(
      "SELECT error IS NOT NULL FROM lockkeeper.jobs UNION ALL SELECT true FROM "
      "lockkeeper.history WHERE id = " +
          ill.str(),
      "true");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.jobs AS j WHERE j::text LIKE '%hunter2%'"), "0");
  client::Client steering(dsn());
  steering.steer(jobs::Verb::cancel, {{ill}, {}, {}, false});
  EXPECT_EQ(end_of(ill), "cancelled");
  EXPECT_EQ(value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM lockkeeper.ddl_history AS h "
                  "WHERE h::text LIKE "
                  "'%hunter2%'"),
            std::to_string(well[4].value));
  EXPECT_EQ(value("SELECT option_value FROM information_schema.user_mapping_options WHERE "
                  "option_name = 'password' AND authorization_identifier = 'PUBLIC'"),
            "hunter2's");
  EXPECT_EQ(value("SELECT statement FROM lockkeeper.history WHERE id = " + well[5].str()),
            "UPDATE logins SET password = 'secret of the application'");
  // What is left of it cannot be run once more.
  client::Client client(dsn());
  const auto again = client.steer(jobs::Verb::retry, {{ill}, {}, {}, false}).front();
  EXPECT_FALSE(again.done);
  EXPECT_NE(again.answer.find("password"), std::string::npos) << again.answer;
}

TEST_F(Role, a_foreign_advisory_lock_keeps_no_dead_worker_alive) {
  stop_workers();
  const auto job = submit("CREATE TABLE x (a int)");
  pg::Session thief(dsn("plain"), "test");
  {
    pg::Session dying(dsn(), "test");
    const auto me = jobs::register_worker(dying, "dying");
    ASSERT_FALSE(jobs::claim(dying, me).empty());
    dying.script("SELECT pg_advisory_unlock(1280014187, " + me.id.str() + ")");
    thief.script("SELECT pg_advisory_lock(1280014187, " + me.id.str() + ")");
  }
  start_workers();
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Role, promise_12_a_forged_specification_gains_nothing) {
  pg::Session plain(dsn("plain"), "test");
  const auto forged = [&](const std::string& more) {
    return plain
        .statement(
            "SELECT id FROM lockkeeper.enqueue('[{\"action\": \"x\", \"statements\": [\"DO $$ "
            "BEGIN "
            "RESET ROLE; DROP TABLE public.secret; END $$\"], \"refs\": [], \"transactional\": "
            "false, "
            "\"opaque\": false, \"search_path\": \"public\"" +
            more + "}]', '{}')")
        .front()
        .integer("id");
  };
  EXPECT_THROW(forged(", \"role\": \"keeper\""), Error);
  const JobId job{forged("")};
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "42501");
  EXPECT_EQ(value("SELECT role FROM lockkeeper.history WHERE id = " + job.str()), "plain");
  EXPECT_EQ(value("SELECT to_regclass('public.secret')"), "secret");
}

TEST_F(Role, promise_12_a_job_cannot_submit_or_steer_as_the_worker) {
  const auto victim = submit("CREATE TABLE public.later (a int)");
  end_of(victim);
  for (const char* call :
       {"lockkeeper.submit('CREATE TABLE public.pwned (a int)', '{}')",
        "lockkeeper.steer('cancel', '{\"all\": true}')", "lockkeeper.pause(1)"}) {
    const auto job = submit_as_plain(std::string("DO $x$ BEGIN PERFORM ") + call + "; END $x$");
    EXPECT_EQ(end_of(job), "cancelled") << call;
    EXPECT_EQ(error_of(job), "42501") << call << error_of(job, "message");
  }
  // Not even when the job gives its worker's lock away and is taken over meanwhile.
  const auto job = submit_as_plain(
      "DO $x$ DECLARE k int; BEGIN FOR k IN 1..50 LOOP PERFORM pg_advisory_unlock(1280014187, k); "
      "END LOOP; LOOP EXIT WHEN (SELECT max(epoch) FROM lockkeeper.jobs) > 1; END LOOP; "
      "PERFORM lockkeeper.submit('CREATE TABLE public.pwned (a "
      "int)', '{}'); END $x$");
  await("SELECT count(*) FROM lockkeeper.jobs WHERE state IN ('queueing', 'running')", "0");
  value("SELECT lockkeeper.cancel(" + job.str() + ")");
  EXPECT_EQ(value("SELECT to_regclass('public.pwned')"), "");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.history WHERE role <> 'plain' AND id > " +
                  victim.str()),
            "0");
}

TEST_F(Role, promise_12_forged_settings_are_refused) {
  pg::Session plain(dsn("plain"), "test");
  for (const char* setting : {"role", "ROLE", "session_authorization", "lock_timeout",
                              "default_transaction_isolation", "synchronous_commit"})
    EXPECT_THROW(
        plain.statement("SELECT id FROM lockkeeper.enqueue(jsonb_build_array(jsonb_build_object("
                        "'action', 'x', 'statements', jsonb_build_array('CREATE INDEX "
                        "CONCURRENTLY ON public.secret (a)'), 'refs', '[]'::jsonb, "
                        "'transactional', false, 'search_path', 'public', 'settings', "
                        "jsonb_build_object($1::text, 'keeper'))), '{}')",
                        pg::Params::of(setting)),
        Error)
        << setting;
  EXPECT_THROW(plain.script("SELECT id FROM lockkeeper.enqueue('[{\"action\": \"x\", "
                            "\"statements\": [\"DO $$ $$\"], \"refs\": [{\"kind\": "
                            "\"database\", \"exclusive\": true}], \"search_path\": "
                            "\"public\"}]', '{\"refuse_new\": true}')"),
               Error);
}

TEST_F(Role, a_statement_that_cannot_be_read_ends_its_job_and_no_worker) {
  pg::Session plain(dsn("plain"), "test");
  const auto rows = plain.statement(
      "SELECT id FROM lockkeeper.enqueue('[{\"action\": \"x\", \"statements\": [\"not sql\"], "
      "\"refs\": [], \"transactional\": false, \"search_path\": \"public\"}]', '{}')");
  const JobId job{rows.front().integer("id")};
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "42601");
}

TEST_F(Role, a_worker_that_may_not_act_as_the_role_says_how_to_let_it) {
  const JobId job{std::stoll(value("SELECT lockkeeper.submit('CREATE TABLE x (a int)')"))};
  EXPECT_EQ(end_of(job), "cancelled");  // It came from the superuser.
  EXPECT_EQ(error_of(job), "42501");
  EXPECT_EQ(error_of(job, "hint"),
            "the worker's role must be a member of it: GRANT \"postgres\" TO \"keeper\"");
}

TEST_F(Role, a_role_that_was_set_is_the_one_that_counts) {
  pg::Session plain(dsn("plain"), "test");
  plain.script("SET ROLE plain_group");
  execute("GRANT plain_group TO keeper; SELECT lockkeeper.grant_use('plain_group')");
  plain.statement("SELECT lockkeeper.submit('SELECT 1')");
  EXPECT_EQ(value("SELECT role FROM (SELECT role FROM lockkeeper.jobs UNION ALL SELECT role FROM "
                  "lockkeeper.history) x"),
            "plain_group");
}

// SET ROLE in a file: PostgreSQL's own rule says who may become whom.
TEST_F(Role, promise_12_set_role_gives_the_jobs_after_it_that_role_and_no_more) {
  execute("GRANT plain_group TO keeper; GRANT CREATE, USAGE ON SCHEMA own TO plain_group");
  client::Client client(dsn("plain"));
  const auto jobs =
      client.apply({{"",
                     "CREATE TABLE own.a (); SET ROLE plain_group; CREATE TABLE own.b (); BEGIN; "
                     "CREATE TABLE own.c (); INSERT INTO secret VALUES (1); COMMIT"}});
  EXPECT_EQ(ends_of({jobs[0].id, jobs[1].id, jobs[2].id}),
            (std::vector<std::string>{"synced", "synced", "cancelled"}));
  EXPECT_EQ(value("SELECT string_agg(tableowner, ' ' ORDER BY tablename) FROM pg_tables WHERE "
                  "schemaname = 'own'"),
            "plain plain_group");
  for (const char* role : {"keeper", "postgres"}) {
    try {
      client.apply({{"f.sql", std::string("SELECT 1;\nSET ROLE ") + role + "; DROP TABLE secret"}});
      FAIL() << role;
    } catch (const InputError& error) {
      EXPECT_EQ(error.report().sqlstate, "42501");
      EXPECT_EQ(error.place().line, 2);
    }
    // The database says so too, before anything else: also with a key that somebody has used.
    pg::Session plain(dsn("plain"), "test");
    EXPECT_THROW(
        plain.statement(
            "SELECT lockkeeper.enqueue($1, '{\"key\": \"k\"}')",
            pg::Params::of(std::string("[{\"action\": \"x\", \"statements\": [\"SELECT 1\"], "
                                       "\"refs\": [], \"search_path\": \"\", \"role\": \"") +
                           role + "\"}]")),
        Error);
  }
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.jobs"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM secret"), "1");
  // Who may act as it may submit it again, too.
  const auto again = client.steer(jobs::Verb::retry, {{jobs[2].id}, {}, {}, false}).front();
  EXPECT_TRUE(again.done) << again.answer;
  EXPECT_EQ(
      value("SELECT role FROM (SELECT role, id FROM lockkeeper.jobs UNION ALL SELECT role, id FROM "
            "lockkeeper.history) AS j ORDER BY id DESC LIMIT 1"),
      "plain_group");
}

// It is looked at again when the job runs: somebody else may have made the role since.
TEST_F(Role, promise_12_a_role_that_the_file_itself_makes_may_be_set_by_who_may_become_it) {
  execute("ALTER ROLE keeper CREATEROLE");
  const auto made = value("SELECT 'made_' || txid_current()");
  stop_workers();
  client::Client thief(dsn("plain"));
  const auto stolen = thief.apply({{"", "SET ROLE " + made + "; CREATE TABLE own.stolen ()"}});
  const auto jobs = apply("CREATE ROLE " + made + "; GRANT " + made +
                          " TO keeper; GRANT CREATE, USAGE ON SCHEMA public TO " + made +
                          "; SET ROLE " + made + "; CREATE TABLE public.of_it ()");
  client::Client(dsn()).steer(jobs::Verb::pause, {{stolen[0].id}, {}, {}, false});
  start_workers();
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(4, "synced"))
      << error_of(jobs.back(), "message");
  EXPECT_EQ(value("SELECT tableowner FROM pg_tables WHERE tablename = 'of_it'"), made);
  client::Client(dsn()).steer(jobs::Verb::resume, {{stolen[0].id}, {}, {}, false});
  EXPECT_EQ(end_of(stolen[0].id), "cancelled");
  EXPECT_EQ(error_of(stolen[0].id), "42501");
  EXPECT_EQ(error_of(stolen[0].id, "message"), "role plain may not SET ROLE " + made);
}

TEST_F(Role, the_tables_of_the_queue_are_closed_and_others_jobs_cannot_be_cancelled) {
  pg::Session plain(dsn("plain"), "test");
  for (const char* sql :
       {"DELETE FROM lockkeeper.ddl_job",
        "SELECT lockkeeper.end_jobs('{1}', '{1}', '[]', 0, 1, '', NULL, 'general')",
        "SELECT lockkeeper.fail_job(1, 1, '{}')",
        "SELECT lockkeeper.end_cancelled(ARRAY[(1, 1)::lockkeeper.falling], NULL, '{}', '', '{}')",
        "SELECT lockkeeper.file_parsed(1, '{}')"}) {
    try {
      plain.script(sql);
      ADD_FAILURE() << sql;
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), "42501") << sql;
    }
  }
  stop_workers();
  const auto job = submit("CREATE TABLE t (a int)");
  try {
    plain.statement("SELECT lockkeeper.cancel(" + job.str() + ")");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "42501");
  }
}

TEST_F(Role, a_role_without_rights_is_told_so) {
  try {
    execute("CREATE ROLE nobody_here LOGIN");
  } catch (const Error&) {
    // Made by an earlier test of this process.
  }
  const auto ran = run_command({"submit", "SELECT 1", "--dsn", dsn("nobody_here").conninfo()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("permission denied"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("--grant"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace lockkeeper::test
