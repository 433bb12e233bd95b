// Keeps a cache of a table's columns right while Lockkeeper changes the table: no job takes its
// next step before this program has read the columns anew.
//   column_cache 'dbname=shop' public.orders
#include <csignal>
#include <iostream>
#include <lockkeeper/client/node.hpp>
#include <lockkeeper/pg/session.hpp>

using namespace lockkeeper;

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: column_cache DSN SCHEMA.TABLE" << std::endl, 2;
  // Signals are for this thread alone, not for the node's.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  const pg::Dsn dsn(argv[1]);
  const std::string table = argv[2];
  const auto load = [&] {
    pg::Session session(dsn, "column cache");
    std::cout << table << ':';
    for (const auto row : session.statement(
             "SELECT name FROM lockkeeper.columns_of($1) WHERE readable", pg::Params::of(table)))
      std::cout << ' ' << row.text("name");
    std::cout << std::endl;
  };
  client::NodeOptions options;
  options.name = "column_cache";
  options.on_load = [&](std::int64_t) { load(); };
  options.on_change = [&](const std::vector<versions::SchemaDiff>& diffs) {
    for (const auto& diff : diffs)
      if (diff.touches(table)) return load();
  };
  options.on_lost = [](const std::string& why) {
    std::cout << "do not trust it now: " << why << std::endl;
  };
  const client::Node node(dsn, options);
  int signal = 0;
  sigwait(&end, &signal);
}
