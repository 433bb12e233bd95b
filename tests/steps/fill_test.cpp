// Backfills from outside: what they write, in which order, how fast (promise 8).
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Fill : public DatabaseTest {};

// A slow machine takes longer, never less.
TEST_F(Fill, workers_that_share_it_keep_to_its_speed_together) {
  as_owner(
      "CREATE TABLE slow (a int, txt text); INSERT INTO slow SELECT i, repeat('x', 200) FROM "
      "generate_series(1, 24000) i");
  start_workers(2, [](auto& settings) { settings.reorg_workers = 4; });
  client::ApplyOptions options;
  options.tuning = {{"threads", "2"}, {"rows_per_second", "8000"}};
  EXPECT_EQ(end_of(submit("ALTER TABLE slow ALTER a TYPE bigint", options)), "synced");
  EXPECT_EQ(
      value("SELECT count(*) FROM lockkeeper.ddl_history WHERE ended_at - started_at > '2 s'"), "1")
      << value("SELECT ended_at - started_at FROM lockkeeper.ddl_history");
}

TEST_F(Fill, promise_8_numbers_are_in_the_order_of_the_rows) {
  as_owner("CREATE SEQUENCE own");
  start_workers(2, [](auto& settings) { settings.reorg_workers = 4; });
  for (const char* added :
       {"bigserial", "int GENERATED ALWAYS AS IDENTITY", "int DEFAULT nextval('own')"}) {
    as_owner(
        "CREATE TABLE far (a int, txt text); INSERT INTO far SELECT i, repeat('x', 200) FROM "
        "generate_series(1, 40000) i");
    EXPECT_EQ(end_of(submit(std::string("ALTER TABLE far ADD n ") + added)), "synced");
    EXPECT_EQ(value("SELECT count(*) FROM far WHERE n = a"), "40000") << added;
    as_owner("DROP TABLE far");
  }
}

// Promise 8: INSERT without a list of columns would put values into other ones than as it is
// written.
TEST_F(Fill, promise_8_a_file_that_relies_on_the_places_of_columns_changes_nothing) {
  as_owner(
      "CREATE TABLE far (a int, b int, txt text); INSERT INTO far SELECT i, -i, repeat('x', 200) "
      "FROM generate_series(1, 20000) i; CREATE TABLE other (a int)");
  start_workers(2);
  const auto jobs =
      apply("ALTER TABLE far ALTER a TYPE bigint; INSERT INTO far VALUES (1, 2, 'y')");
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>{"cancelled", "cancelled"}));
  EXPECT_EQ(error_of(jobs[0]), "55000");
  EXPECT_EQ(error_of(jobs[0], "detail"), "INSERT INTO far VALUES (1, 2, 'y')");
  EXPECT_EQ(value("SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'far'::regclass AND "
                  "attnum = 1"),
            "integer");
  for (const char* text :
       {"ALTER TABLE far ALTER a TYPE bigint; INSERT INTO far (a, b) VALUES (1, 2); INSERT INTO "
        "other VALUES (1)",
        "ALTER TABLE far ALTER b TYPE bigint"})
    for (const auto& job : apply(text))
      EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
}

}  // namespace
}  // namespace lockkeeper::test
