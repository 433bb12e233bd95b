#include "pg/sqlstate.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "pg/dsn.hpp"
#include "pg/quote.hpp"

namespace lockkeeper::pg {
namespace {

TEST(Sqlstate, says_what_may_be_done) {
  EXPECT_EQ(retry_for("55P03"), Retry::same_session);
  EXPECT_EQ(retry_for("40P01"), Retry::same_session);
  EXPECT_EQ(retry_for("53100"), Retry::same_session);
  EXPECT_EQ(retry_for("57P01"), Retry::new_session);
  EXPECT_EQ(retry_for("08006"), Retry::new_session);
  EXPECT_EQ(retry_for("42P01"), Retry::never);
  EXPECT_EQ(retry_for("23505"), Retry::never);
}

TEST(Report, takes_the_fields_apart) {
  const auto report = report_from(
      "ERROR:  could not create unique index \"i\"\nDETAIL:  Key (a)=(1) is duplicated.\nHINT:  "
      "Look.\n"
      "CONTEXT:  SQL statement \"x\"\nPL/pgSQL function f() line 1\n",
      "23505", "CREATE UNIQUE INDEX i ON t (a)");
  EXPECT_EQ(report.message, "could not create unique index \"i\"");
  EXPECT_EQ(report.detail, "Key (a)=(1) is duplicated.");
  EXPECT_EQ(report.hint, "Look.");
  EXPECT_EQ(report.context, "SQL statement \"x\"\nPL/pgSQL function f() line 1");
  EXPECT_EQ(report.position, 0);
}

TEST(Report, finds_the_position_in_a_line_that_libpq_cut) {
  const std::string pad(100, ' ');
  const std::string sql = "ALTER TABLE t\n ADD a int," + pad + "ADD é nope," + pad + "ADD c int";
  const auto report = report_from(
      "ERROR:  type \"nope\" does not exist\nLINE 2: ...       ADD é nope,"
      "                  ...\n                        ^\n",
      "42704", sql);
  EXPECT_EQ(report.position, characters(sql, sql.find("nope")) + 1);
}

TEST(Report, a_broken_connection_has_a_message_of_its_own) {
  const auto report = report_from("server closed the connection unexpectedly", "08006", "");
  EXPECT_EQ(report.message, "server closed the connection unexpectedly");
}

TEST(Quote, doubles_what_must_be_doubled) {
  EXPECT_EQ(quote_ident("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\b"), "E'a\\\\b'");
  EXPECT_THROW(quote_ident(std::string("a\0b", 3)), InputError);
}

TEST(Dsn, takes_both_forms_and_hides_the_password) {
  const Dsn uri("postgresql://u:secret@h:5433/d?sslmode=prefer");
  EXPECT_EQ(uri.value("dbname"), "d");
  EXPECT_EQ(uri.redacted().find("secret"), std::string::npos);
  EXPECT_EQ(Dsn("host=h dbname='a b'").value("dbname"), "a b");
  EXPECT_EQ(Dsn(uri.conninfo()).value("password"), "secret");
  EXPECT_THROW(Dsn("nonsense=1"), InputError);
}

}  // namespace
}  // namespace lockkeeper::pg
