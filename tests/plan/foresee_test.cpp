#include "plan/foresee.hpp"

#include <gtest/gtest.h>

namespace lockkeeper::plan {
namespace {

catalog::Facts facts() {
  catalog::Facts facts;
  facts.current_schema = "public";
  catalog::Table table;
  table.schema = "public";
  table.name = "t";
  table.columns = {{"a", "integer", -1, false, false, false, false}};
  facts.tables["\"t\""] = facts.tables["\"public\".\"t\""] = table;
  table.columns.clear();
  table.name = "i";
  facts.tables["\"i\""] = table;
  table.schema = "other";
  facts.tables["\"far\""] = table;
  return facts;
}

std::string problems_of(const std::string& text) {
  Earlier earlier;
  std::string all;
  for (const auto& unit : parse::parse_file(text))
    for (const auto& problem : problems(unit, facts(), earlier))
      all += (all.empty() ? "" : "; ") + problem;
  return all;
}

struct Case {
  const char* sql;
  const char* problems;
};
class Foresee : public ::testing::TestWithParam<Case> {};

TEST_P(Foresee, says_what_would_fail_and_nothing_that_it_cannot_know) {
  EXPECT_EQ(problems_of(GetParam().sql), GetParam().problems) << GetParam().sql;
}

INSTANTIATE_TEST_SUITE_P(
    Statements, Foresee,
    ::testing::Values(
        Case{"ALTER TABLE nope ADD b int", "there is no relation \"nope\""},
        Case{"ALTER TABLE IF EXISTS nope ADD b int", ""},
        Case{"DROP TABLE nope, t", "there is no relation \"nope\""},
        Case{"DROP TABLE IF EXISTS nope", ""},
        Case{"TRUNCATE app.nope", "there is no relation \"app.nope\""},
        Case{"CREATE INDEX ON nope (a)", "there is no relation \"nope\""},
        Case{"INSERT INTO nope VALUES (1)", "there is no relation \"nope\""},
        Case{"CREATE TABLE t (b int)", "relation \"t\" is there already"},
        Case{"CREATE TABLE public.t (b int)", "relation \"public.t\" is there already"},
        Case{"CREATE TABLE IF NOT EXISTS t (b int)", ""},
        // Of another schema of the path: it does not stand in the way.
        Case{"CREATE TABLE far (b int)", ""}, Case{"CREATE TEMP TABLE t (b int)", ""},
        Case{"CREATE INDEX i ON t (a)", "relation \"i\" is there already"},
        Case{"CREATE INDEX IF NOT EXISTS i ON t (a)", ""},
        Case{"DROP INDEX i; CREATE INDEX i ON t (a)", ""},
        Case{"ALTER TABLE t ADD a int", "column \"a\" of \"t\" is there already"},
        Case{"ALTER TABLE t ADD COLUMN IF NOT EXISTS a int", ""},
        Case{"ALTER TABLE t DROP a, ADD a text", ""},
        Case{"ALTER TABLE t ADD b int, ALTER b SET DEFAULT 1", ""},
        Case{"ALTER TABLE t ALTER b TYPE int", "there is no column \"b\" in \"t\""},
        Case{"ALTER TABLE t DROP b", "there is no column \"b\" in \"t\""},
        Case{"ALTER TABLE t DROP COLUMN IF EXISTS b", ""},
        Case{"CREATE TABLE u (b int REFERENCES nope)", "there is no relation \"nope\""},
        Case{"CREATE TABLE u (b int PRIMARY KEY, c int REFERENCES u)", ""},
        Case{"CREATE TABLE u (b int); ALTER TABLE u ADD c int; ALTER TABLE u DROP d", ""},
        Case{"ALTER TABLE t ADD b int; ALTER TABLE t ALTER b SET NOT NULL", ""},
        Case{"BEGIN; CREATE TABLE u (b int); CREATE INDEX ON u (b); COMMIT", ""},
        Case{"DO $$ BEGIN END $$; DROP TABLE nope", ""},
        Case{"CREATE EXTENSION x; DROP TABLE nope", ""}));

}  // namespace
}  // namespace lockkeeper::plan
