// The programs of docs/examples, run as they are.
#include <csignal>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

struct Example {
  const char* name;
  std::vector<std::string> command;
};
std::ostream& operator<<(std::ostream& out, const Example& one) { return out << one.name; }

class Examples : public DatabaseTest, public ::testing::WithParamInterface<Example> {};

TEST_P(Examples, keeps_its_cache_right_through_changes_and_a_lost_connection) {
  as_owner("CREATE TABLE orders (id int, note text NOT NULL); CREATE TABLE other (a int)");
  TemporaryDirectory folder;
  const std::string out = folder.path() + "/out";
  auto words = GetParam().command;
  words.insert(words.end(), {dsn().conninfo(), "public.orders"});
  ChildOptions options;
  options.stdout_file = options.stderr_file = out;
  ChildProcess program(words, options);
  const auto said = [&](const std::string& wanted) {
    const bool so = eventually([&] { return read_file(out) == wanted; });
    EXPECT_TRUE(so) << "it said\n" << read_file(out) << "instead of\n" << wanted;
  };
  std::string all = "public.orders: id note\n";
  said(all);
  start_workers();
  EXPECT_EQ(end_of(submit("ALTER TABLE orders ADD COLUMN total int")), "synced");
  said(all += "public.orders: id note total\n");
  EXPECT_EQ(end_of(submit("ALTER TABLE other ADD COLUMN total int")), "synced");
  // It stops reading the column, then writing it, then the column is gone.
  EXPECT_EQ(end_of(submit("ALTER TABLE orders DROP COLUMN note")), "synced");
  for (int version = 0; version < 3; ++version) all += "public.orders: id total\n";
  said(all);
  execute("SELECT pg_terminate_backend(pid) FROM lockkeeper.ddl_node");
  ASSERT_TRUE(eventually([&] {
    return read_file(out).find("do not trust it now") != std::string::npos &&
           value(
               "SELECT count(*) FROM lockkeeper.ddl_node WHERE version >= 0 AND gone_since IS "
               "NULL AND pid IN (SELECT pid FROM pg_stat_activity)") == "1";
  })) << read_file(out);
  EXPECT_EQ(end_of(submit("ALTER TABLE orders ADD COLUMN last int")), "synced");
  EXPECT_TRUE(eventually([&] {
    const auto text = read_file(out);
    const std::string last = "public.orders: id total last\n";
    return text.size() > last.size() && text.substr(text.size() - last.size()) == last;
  })) << read_file(out);
  program.signal(SIGTERM);
  EXPECT_TRUE(program.wait(std::chrono::seconds(20)).has_value());
}

INSTANTIATE_TEST_SUITE_P(Programs, Examples,
                         ::testing::Values(Example{"cpp", {LOCKKEEPER_EXAMPLE}},
                                           Example{"python",
                                                   {"/usr/bin/python3",
                                                    std::string(LOCKKEEPER_SOURCE) +
                                                        "/docs/examples/column_cache.py"}}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace lockkeeper::test
