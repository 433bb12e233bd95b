#pragma once
// What tests of online steps share: a table of some size, its shape and its rows, and the moments
// of a job.
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "base/testpoint.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {

class Online : public DatabaseTest {
 protected:
  void TearDown() override {
    testpoint::set_hook({});
    DatabaseTest::TearDown();
  }

  void make_tables(const char* more = "") {
    more_ = more;
    as_owner(
        "CREATE TABLE target (id int PRIMARY KEY); INSERT INTO target SELECT generate_series(0, "
        "99);"
        "CREATE TABLE big (id int, a int, b int, txt text);"
        "INSERT INTO big SELECT i, i, i % 100, repeat('x', 80) FROM generate_series(1, 12000) i;"
        "CREATE INDEX there ON big (txt, id); ALTER TABLE big ADD UNIQUE (id, txt)");
    if (*more != '\0') as_owner(more);
  }
  void start_over() {
    as_owner("DROP TABLE IF EXISTS child, parted, big, target");
    make_tables(more_);
  }

  // Everything that a change could leave: columns, constraints, indexes with their states,
  // functions, triggers.
  std::string shape() {
    return value(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
        "SELECT format('column %s.%s %s %s %s %s %s %s %s %s %s', c.relname, a.attname, "
        "format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), "
        "a.attstattarget, a.attidentity, a.attoptions, a.attcollation::regcollation, "
        "col_description(a.attrelid, a.attnum), (SELECT array_agg(x::text ORDER BY x::text) FROM "
        "unnest(regexp_replace(a.attacl::text, '/[^,}]*', '', 'g')::text[]) x)) AS line FROM "
        "pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = "
        "'public'::regnamespace LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' UNION ALL "
        "SELECT format('sequence %s %s', sequencename, to_jsonb(s) - 'last_value' - "
        "'sequenceowner') FROM pg_sequences s WHERE schemaname = 'public' UNION ALL "
        "SELECT format('constraint %s %s %s %s %s', conrelid::regclass, conname, "
        "pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint')) FROM "
        "pg_constraint WHERE connamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('index %s %s %s %s %s', pg_get_indexdef(indexrelid), indisvalid, "
        "indisready, indisclustered, obj_description(indexrelid, 'pg_class')) FROM "
        "pg_index JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('%s is a part of %s', inhrelid::regclass, inhparent::regclass) FROM "
        "pg_inherits UNION ALL "
        "SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('trigger %s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT "
        "tgisinternal) AS lines");
  }
  // What is drawn for each row is another every time.
  std::string rows() {
    return value(
        "SELECT md5(string_agg((to_jsonb(big) - 'u' - 'n' - 'm')::text, ',' ORDER BY id, a)) FROM "
        "big");
  }

  // The shape that the statement gives when it is run as it is.
  std::string plain_shape(const char* sql) {
    as_owner(sql);
    auto plain = shape();
    plain_rows_ = rows();
    start_over();
    return plain;
  }

  std::string plain_rows_;
  const char* more_ = "";

  struct Moment {
    std::string point;
    int nth = 0;  ///< time that it is reached
  };
  // The testpoints that the job reaches, in order; of statements of one transaction, the last.
  std::vector<Moment> moments(const char* sql) {
    std::mutex mutex;
    std::vector<Moment> reached;
    std::map<std::string, int> seen;
    testpoint::set_hook([&](const std::string& name) {
      const std::lock_guard lock(mutex);
      if (name == "after_statement" && !reached.empty() && reached.back().point == name)
        reached.pop_back();
      // How many batches there are depends on the time that they take.
      const int nth = ++seen[name];
      if (nth <= 2 || name.find("batch") == std::string::npos) reached.push_back({name, nth});
    });
    start_workers(1);
    EXPECT_EQ(end_of(submit(sql)), "synced");
    stop_workers();
    testpoint::set_hook({});
    start_over();
    return reached;
  }

  void expect_queue_empty() {
    for (const char* table :
         {"ddl_job", "ddl_job_footprint", "ddl_step", "ddl_reorg", "ddl_subtask"})
      EXPECT_EQ(value(std::string("SELECT count(*) FROM lockkeeper.") + table), "0") << table;
    EXPECT_EQ(value("SELECT count(*) = coalesce(max(version), 0) FROM lockkeeper.ddl_schema_diff"),
              "true");
  }
};

}  // namespace lockkeeper::test
