#include "pg/session.hpp"

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class PgSession : public DatabaseTest {};

TEST_F(PgSession, an_error_keeps_all_its_fields) {
  pg::Session session(dsn(), "test");
  session.script("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
  try {
    session.statement("INSERT INTO t VALUES (1)");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "23505");
    EXPECT_EQ(error.report().detail, "Key (a)=(1) already exists.");
    EXPECT_EQ(error.retry(), Retry::never);
  }
  try {
    session.statement("SELECT 1,\n  é FROM t");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "42703");
    EXPECT_EQ(error.report().position, 13);
  }
}

TEST_F(PgSession, a_second_statement_cannot_be_smuggled_in) {
  pg::Session session(dsn(), "test");
  EXPECT_THROW(session.statement("SELECT 1; CREATE TABLE smuggled (a int)"), Error);
  EXPECT_EQ(value("SELECT to_regclass('smuggled')"), "");
}

TEST_F(PgSession, one_that_lost_its_backend_is_never_used_again) {
  pg::Session session(dsn(), "test");
  execute("SELECT pg_terminate_backend(" + std::to_string(session.backend_pid()) + ")");
  for (int i = 0; i < 4; ++i) {
    try {
      session.statement("SELECT 1");
      FAIL() << "reconnected behind our back";
    } catch (const Error& error) {
      EXPECT_EQ(error.retry(), Retry::new_session);
    }
  }
  EXPECT_TRUE(session.broken());
}

TEST_F(PgSession, lock_timeout_and_deadlock_are_told_apart_from_plain_errors) {
  pg::Session holder(dsn(), "test");
  holder.script("CREATE TABLE t (a int)");
  holder.script("BEGIN; LOCK TABLE t");
  pg::Session session(dsn(), "test", 50);
  try {
    session.statement("SELECT * FROM t");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "55P03");
    EXPECT_EQ(error.retry(), Retry::same_session);
  }
  EXPECT_FALSE(session.broken());
}

TEST_F(PgSession, lock_timeout_is_never_off) {
  pg::Session session(dsn(), "test");
  EXPECT_EQ(session.statement("SHOW lock_timeout").front().text("lock_timeout"), "1s");
}

TEST_F(PgSession, a_transaction_that_is_not_committed_leaves_nothing) {
  pg::Session session(dsn(), "test");
  {
    const pg::Transaction tx(session);
    session.statement("CREATE TABLE t (a int)");
  }
  EXPECT_EQ(value("SELECT to_regclass('t')"), "");
}

TEST_F(PgSession, syntax_is_checked_without_running_anything) {
  pg::Session session(dsn(), "test");
  session.check_syntax("CREATE TABLE never (a int)");
  EXPECT_EQ(value("SELECT to_regclass('never')"), "");
  EXPECT_THROW(session.check_syntax("CREATE TABEL never (a int)"), Error);
  session.check_syntax("DROP TABLE never");
}

TEST_F(PgSession, notifications_arrive_and_nulls_travel) {
  pg::Session session(dsn(), "test");
  session.listen("news");
  execute("NOTIFY news, 'x'");
  ASSERT_TRUE(session.wait_for_notification(std::chrono::seconds(30)));
  const auto taken = session.take_notifications();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].payload, "x");
  const auto rows =
      session.statement("SELECT $1::text AS a, $2::text AS b", pg::Params::of(std::nullopt, "y"));
  EXPECT_TRUE(rows.front().null("a"));
  EXPECT_EQ(rows.front().text("b"), "y");
}

}  // namespace
}  // namespace lockkeeper::test
