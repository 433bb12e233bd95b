// An application for the test of nodes: caches the columns of its tables with client::Node, reads
// and writes by what is cached, and keeps a log of each use for the checker.
//   use TABLE VERSION BEGIN END ROWS   a transaction: microseconds of the clock, rows committed
//   fail TABLE VERSION SQLSTATE TEXT   a statement that did not fit the schema, of a live node
// node_program DSN NAME LOG SEED LEASE_MS
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "client/node.hpp"
#include "pg/quote.hpp"
#include "pg/session.hpp"

namespace {

using namespace lockkeeper;

std::atomic<bool> stopping = false;

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Column {
  std::string name;
  std::string type;
  bool readable = false;
  bool writable = false;
};

class Application {
 public:
  Application(const pg::Dsn& dsn, const std::string& name, const std::string& log, unsigned seed,
              int lease_ms)
      : dsn_(dsn), log_(log, std::ios::app), random_(seed) {
    client::NodeOptions options;
    options.name = name;
    options.lease = std::chrono::milliseconds(lease_ms);
    options.on_load = [this](std::int64_t) { load(); };
    options.on_change = [this](const std::vector<versions::SchemaDiff>&) { load(); };
    node_ = std::make_unique<client::Node>(dsn, options);
  }

  void run() {
    while (!stopping) {
      try {
        use();
      } catch (const Error& error) {
        // Not trusted now, or the server is away.
        if (session_ && session_->broken()) session_.reset();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
    node_.reset();
  }

 private:
  // All tables anew: a test has few. On the node's thread.
  void load() {
    if (!reader_ || reader_->broken()) reader_ = std::make_unique<pg::Session>(dsn_, "node cache");
    std::map<std::string, std::vector<Column>> tables;
    for (const auto row : reader_->statement(
             "SELECT t.relname AS relation, c.name, c.type, c.readable, c.writable FROM pg_class "
             "t, "
             "LATERAL lockkeeper.columns_of('public.' || t.relname) c WHERE t.relnamespace = "
             "'public'::regnamespace AND t.relkind = 'r'"))
      tables[row.text("relation")].push_back(
          {row.text("name"), row.text("type"), row.boolean("readable"), row.boolean("writable")});
    const std::lock_guard lock(mutex_);
    tables_ = std::move(tables);
  }

  std::vector<Column> columns_of(const std::string& table) {
    const std::lock_guard lock(mutex_);
    const auto found = tables_.find(table);
    return found == tables_.end() ? std::vector<Column>() : found->second;
  }

  void use() {
    const std::string table = "t" + std::to_string(random_() % 5);
    const auto pin = node_->pin("public." + table);
    const auto begin = now_us();
    const auto columns = columns_of(table);
    if (columns.empty()) return;
    if (!session_) session_ = std::make_unique<pg::Session>(dsn_, "node application", 0);
    std::string names;
    std::string values;
    std::string read = "1";
    for (const auto& column : columns) {
      if (column.readable) read += ", " + pg::quote_ident(column.name);
      if (!column.writable || column.name == "id") continue;
      names += (names.empty() ? "" : ", ") + pg::quote_ident(column.name);
      values += (values.empty() ? "" : ", ") +
                (column.type == "text" ? std::string("'x'") : std::to_string(random_() % 1000));
    }
    try {
      session_->script("BEGIN");
      pause();  // As an application does: it thinks, then speaks.
      session_->statement(
          "INSERT INTO public." + table +
          (names.empty() ? " DEFAULT VALUES" : " (" + names + ") VALUES (" + values + ")"));
      pause();
      session_->statement("SELECT " + read + " FROM public." + table + " ORDER BY id DESC LIMIT 1");
      session_->script("COMMIT");
      // Of a node that was fenced meanwhile nothing is promised.
      if (!node_->trusted()) return;
      log_ << "use " << table << ' ' << pin.version() << ' ' << begin << ' ' << now_us() << " 1"
           << std::endl;
    } catch (const Error& error) {
      if (session_->broken()) throw;
      session_->script("ROLLBACK");
      const auto kind = error.sqlstate().substr(0, 2);
      if ((kind == "42" || kind == "23" || kind == "0A") && node_->trusted())
        log_ << "fail " << table << ' ' << pin.version() << ' ' << error.sqlstate() << ' '
             << error.what() << std::endl;
    }
  }

  void pause() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 8000)); }

  pg::Dsn dsn_;
  std::ofstream log_;
  std::mt19937 random_;
  std::unique_ptr<pg::Session> session_;
  std::unique_ptr<pg::Session> reader_;
  std::mutex mutex_;
  std::map<std::string, std::vector<Column>> tables_;
  std::unique_ptr<client::Node> node_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  std::signal(SIGTERM, [](int) { stopping = true; });
  Application(pg::Dsn(argv[1]), argv[2], argv[3], static_cast<unsigned>(std::stoul(argv[4])),
              std::stoi(argv[5]))
      .run();
  return 0;
}
