#include "plan/lock_rules.hpp"

#include <gtest/gtest.h>

#include "parse/parser.hpp"
#include "plan/planner.hpp"

namespace lockkeeper::plan {
namespace {

catalog::Facts facts() {
  catalog::Facts facts;
  facts.server_version = 150000;
  catalog::Table t;
  t.name = "t";
  t.columns = {{"i", "integer", -1, false, false},
               {"v", "character varying", 54, false, false},
               {"n", "numeric", ((10 << 16) | 2) + 4, false, false},
               {"x", "text", -1, false, false}};
  t.proven_not_null = {"x"};
  t.referenced_by = {"child"};
  facts.tables["\"t\""] = t;
  facts.volatile_function = {{"now", false}, {"gen_random_uuid", true}};
  facts.constrained_domain = {{"posint", true}};
  return facts;
}

struct LockCase {
  const char* sql;
  const char* lock;
  bool rewrites;
  bool scans;
};

class LockRules : public ::testing::TestWithParam<LockCase> {};
TEST_P(LockRules, agree_with_what_was_measured) {
  const auto plan = explain(parse::parse_one(GetParam().sql), facts());
  ASSERT_FALSE(plan.steps.front().locks.empty()) << GetParam().sql;
  const auto& lock = plan.steps.front().locks.front();
  EXPECT_STREQ(to_string(lock.mode), GetParam().lock) << GetParam().sql;
  EXPECT_EQ(lock.rewrites, GetParam().rewrites) << GetParam().sql;
  EXPECT_EQ(lock.scans, GetParam().scans) << GetParam().sql;
}
INSTANTIATE_TEST_SUITE_P(
    Measured, LockRules,
    ::testing::Values(
        LockCase{"ALTER TABLE t ADD c int", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ADD c int DEFAULT 1", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ADD c timestamptz DEFAULT now()", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ADD c uuid DEFAULT gen_random_uuid()", "ACCESS EXCLUSIVE", true,
                 true},
        LockCase{"ALTER TABLE t ADD c serial", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ADD c int GENERATED ALWAYS AS IDENTITY", "ACCESS EXCLUSIVE", true,
                 true},
        LockCase{"ALTER TABLE t ADD c int GENERATED ALWAYS AS (i) STORED", "ACCESS EXCLUSIVE", true,
                 true},
        LockCase{"ALTER TABLE t ADD c posint", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ADD c int CHECK (c > 0)", "ACCESS EXCLUSIVE", false, true},
        LockCase{"ALTER TABLE t ADD c int REFERENCES p", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER i TYPE bigint", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ALTER v TYPE varchar(100)", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER v TYPE text", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER v TYPE varchar(20)", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ALTER n TYPE numeric(12,2)", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER n TYPE numeric(12,4)", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ALTER n TYPE numeric", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER x TYPE varchar", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER x TYPE varchar(9)", "ACCESS EXCLUSIVE", true, true},
        LockCase{"ALTER TABLE t ALTER i SET NOT NULL", "ACCESS EXCLUSIVE", false, true},
        LockCase{"ALTER TABLE t ALTER x SET NOT NULL", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ADD CHECK (i > 0)", "ACCESS EXCLUSIVE", false, true},
        LockCase{"ALTER TABLE t ADD CHECK (i > 0) NOT VALID", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t VALIDATE CONSTRAINT c", "SHARE UPDATE EXCLUSIVE", false, true},
        LockCase{"ALTER TABLE t ADD FOREIGN KEY (i) REFERENCES p", "SHARE ROW EXCLUSIVE", false,
                 true},
        LockCase{"ALTER TABLE t ADD FOREIGN KEY (i) REFERENCES p NOT VALID", "SHARE ROW EXCLUSIVE",
                 false, false},
        LockCase{"ALTER TABLE t ADD UNIQUE (i)", "ACCESS EXCLUSIVE", false, true},
        LockCase{"ALTER TABLE t ADD UNIQUE USING INDEX i", "ACCESS EXCLUSIVE", false, false},
        LockCase{"CREATE INDEX ON t (i)", "SHARE", false, true},
        LockCase{"CREATE INDEX CONCURRENTLY ON t (i)", "SHARE UPDATE EXCLUSIVE", false, true},
        LockCase{"DROP INDEX i", "ACCESS EXCLUSIVE", false, false},
        LockCase{"DROP INDEX CONCURRENTLY i", "SHARE UPDATE EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t SET (fillfactor = 70)", "SHARE UPDATE EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t ALTER i SET STATISTICS 500", "SHARE UPDATE EXCLUSIVE", false,
                 false},
        LockCase{"ALTER INDEX i RENAME TO j", "SHARE UPDATE EXCLUSIVE", false, false},
        LockCase{"CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", "SHARE ROW EXCLUSIVE",
                 false, false},
        LockCase{"TRUNCATE t", "ACCESS EXCLUSIVE", false, false},
        LockCase{"ALTER TABLE t RENAME i TO j", "ACCESS EXCLUSIVE", false, false},
        LockCase{"CREATE TABLE n (a int)", "none", false, false},
        LockCase{"UPDATE t SET i = 1", "ROW EXCLUSIVE", false, false}));

TEST(LockRules, the_other_table_of_a_foreign_key_is_named) {
  const auto plan = explain(parse::parse_one("CREATE TABLE n (a int REFERENCES t)"), facts());
  ASSERT_EQ(plan.steps.front().locks.size(), 2U);
  EXPECT_EQ(plan.steps.front().locks[1].object, "\"t\"");
  EXPECT_EQ(plan.steps.front().locks[1].mode, LockMode::share_row_exclusive);
}

TEST(LockRules, tables_that_refer_to_a_changed_key_are_named) {
  const auto plan = explain(parse::parse_one("ALTER TABLE t ALTER i TYPE bigint"), facts());
  ASSERT_EQ(plan.steps.front().locks.size(), 2U);
  EXPECT_EQ(plan.steps.front().locks[1].object, "child");
}

TEST(LockRules, what_is_not_known_is_announced_as_the_worse) {
  const auto plan = explain(parse::parse_one("ALTER TABLE unknown ALTER a TYPE text"), {});
  EXPECT_TRUE(plan.steps.front().locks.front().rewrites);
}

TEST(Planner, a_concurrent_index_is_a_step_of_its_own_kind) {
  const auto plan = steps_of(parse::parse_one("CREATE INDEX CONCURRENTLY i ON s.t (a)"));
  EXPECT_EQ(plan.steps.front().kind, StepKind::build_index);
  EXPECT_EQ(plan.steps.front().table, "\"s\".\"t\"");
}

}  // namespace
}  // namespace lockkeeper::plan
