#include "pg/session.hpp"

#include <poll.h>

#include <chrono>
#include <map>
#include <pqxx/pqxx>
#include <set>

#include "pg/quote.hpp"
#include "pg/sqlstate.hpp"

namespace lockkeeper::pg {
namespace {

// Ours can be told from others by the beginning, whatever the DSN adds.
std::string named(const Dsn& dsn, const std::string& name) {
  const auto given = dsn.value("application_name");
  if (given.empty()) return name;
  return name.rfind("lockkeeper", 0) == 0 ? name + " " + given : given;
}

Dsn completed(const Dsn& dsn, const std::string& application_name) {
  // A dead peer must be noticed: promise 11 rests on sessions that end.
  return dsn.with("client_encoding", "UTF8")
      .with("application_name", named(dsn, application_name))
      .with_default("connect_timeout", "10")
      .with_default("keepalives_idle", "10")
      .with_default("keepalives_interval", "5")
      .with_default("keepalives_count", "3")
      .with_default("tcp_user_timeout", "25000");
}

Rows copy_of(const pqxx::result& result) {
  std::vector<std::string> columns;
  for (pqxx::row::size_type c = 0; c < result.columns(); ++c)
    columns.emplace_back(result.column_name(c));
  std::vector<std::optional<std::string>> cells;
  cells.reserve(static_cast<std::size_t>(result.size()) * columns.size());
  for (const auto& row : result)
    for (const auto& field : row)
      cells.emplace_back(field.is_null()
                             ? std::nullopt
                             : std::optional<std::string>(std::string(
                                   field.c_str(), static_cast<std::size_t>(field.size()))));
  return {std::move(columns), std::move(cells), static_cast<std::size_t>(result.affected_rows())};
}

#if PQXX_VERSION_MAJOR >= 7
pqxx::params native(const Params& params) {
  pqxx::params result;
  for (const auto& value : params.values()) result.append(value);
  return result;
}
#else
std::vector<const char*> native(const Params& params) {
  std::vector<const char*> result;
  for (const auto& value : params.values()) result.push_back(value ? value->c_str() : nullptr);
  return result;
}
#endif

// Without a name: nothing of it stays in the session.
pqxx::result once(pqxx::nontransaction& tx, const std::string& sql, const Params& params) {
#if PQXX_VERSION_MAJOR >= 7
  return tx.exec(sql, native(params));
#else
  return tx.exec_params(sql, pqxx::prepare::make_dynamic_params(native(params)));
#endif
}

}  // namespace

class Session::Impl {
 public:
  Impl(const Dsn& dsn, const std::string& application_name, Observer* seen) : observer(seen) {
    try {
      connection = std::make_unique<pqxx::connection>(completed(dsn, application_name).conninfo());
#if PQXX_VERSION_MAJOR < 7
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
      // Deprecated, because 7.x never reconnects by itself. 6.4 does, so it is wanted here.
      connection->inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
      quiet = std::make_unique<pqxx::quiet_errorhandler>(*connection);
      // With the SQLSTATE in the text: libpqxx 6.4 loses it for some classes (42501, 40xxx).
#if PQXX_VERSION_MAJOR >= 7
      connection->set_verbosity(pqxx::error_verbosity::verbose);
#else
      connection->set_verbosity(pqxx::connection_base::verbose);
#endif
    } catch (const std::exception& error) {
      auto report = report_from(error.what(), "08001", {});
      throw Error(Retry::new_session, std::move(report), "connect");
    }
    pid = connection->backendpid();
    version = connection->server_version();
  }

  template <typename Call>
  Rows guarded(std::string_view name, const std::string& text, Call&& call) {
    if (broken)
      throw Error(Retry::new_session, Report{"08003", "session is broken", {}, {}, {}, {}, 0},
                  std::string(name));
    const auto begin = std::chrono::steady_clock::now();
    try {
      pqxx::nontransaction tx(*connection);
      Rows rows = copy_of(call(tx));
      observe(name, begin, {});
      return rows;
    } catch (const std::exception& error) {
      Report report = report_from(error.what(), {}, text);
      // libpqxx takes every error of class 08 that a server tells for a lost connection.
      const bool told = !report.sqlstate.empty();
      const bool gone = !connection->is_open() ||
                        (!told && dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr);
      if (gone) broken = true;
      if (!told) report.sqlstate = gone ? "08006" : "XX000";
      observe(name, begin, report.sqlstate);
      // A connection that is there, and was answered on to the end, is not lost, whatever the code
      // says: that is of somebody else's connection (CREATE SUBSCRIPTION, dblink), or RAISE's.
      Retry retry = gone ? Retry::new_session : retry_for(report.sqlstate);
      if (!gone && retry == Retry::new_session) retry = Retry::never;
      throw Error(retry, std::move(report), std::string(name));
    }
  }

  void observe(std::string_view name, std::chrono::steady_clock::time_point begin,
               const std::string& sqlstate) const {
    if (observer == nullptr) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    observer->query_done(name, took.count(), sqlstate);
  }

  std::unique_ptr<pqxx::connection> connection;
  std::unique_ptr<pqxx::quiet_errorhandler> quiet;
  std::set<std::string_view> prepared;
  std::vector<Notification> notifications;
  Observer* observer;
  bool broken = false;
  bool pooled = false;
  bool in_transaction = false;
  std::string local;  ///< settings for one transaction
  int pid = 0;
  int version = 0;
  int checks = 0;
#if PQXX_VERSION_MAJOR < 7
  class Receiver final : public pqxx::notification_receiver {
   public:
    Receiver(pqxx::connection_base& from, const std::string& channel, std::vector<Notification>& to)
        : notification_receiver(from, channel), to_(to) {}
    void operator()(const std::string& payload, int backend_pid) override {
      to_.push_back({channel(), payload, backend_pid});
    }

   private:
    std::vector<Notification>& to_;
  };
  std::vector<std::unique_ptr<Receiver>> receivers;
#endif
};

Session::Session(const Dsn& dsn, const std::string& application_name, int lock_timeout_ms,
                 Observer* observer)
    : impl_(std::make_unique<Impl>(dsn, application_name, observer)) {
  std::map<std::string, std::string> defaults = {
      {"standard_conforming_strings", "on"},
      {"default_transaction_isolation", "read committed"},
      {"default_transaction_read_only", "off"},
      {"statement_timeout", "0"},
      {"idle_in_transaction_session_timeout", "0"},
      {"lock_timeout", std::to_string(lock_timeout_ms)}};
  if (impl_->version >= 170000) defaults["transaction_timeout"] = "0";
  // In one statement, so that nothing is set when it turns out that the session is not ours alone.
  std::string look = "SELECT pg_catalog.pg_backend_pid()";
  for (const auto& [name, value] : defaults) {
    look += ", CASE pg_catalog.pg_backend_pid() WHEN " + std::to_string(impl_->pid) +
            " THEN pg_catalog.set_config(" + quote_literal(name) + ", " + quote_literal(value) +
            ", false) END";
    if (name.rfind("default_", 0) != 0)
      impl_->local += ";SET LOCAL " + name + " = " + quote_literal(value);
  }
  impl_->pooled = script(look).front().integer("pg_backend_pid") != impl_->pid;
}

Session::~Session() {
#if PQXX_VERSION_MAJOR < 7
  if (impl_->broken && impl_->connection) impl_->connection->disconnect();
#endif
}

Rows Session::run(const Query& query, const Params& params) {
  const std::string text(query.text);
  if (impl_->pooled) return alone(query.name, text, params);
  return impl_->guarded(query.name, text, [&](pqxx::nontransaction& tx) {
    const std::string name(query.name);
    if (impl_->prepared.insert(query.name).second) impl_->connection->prepare(name, text);
#if PQXX_VERSION_MAJOR >= 7
    return tx.exec(pqxx::prepped{name}, native(params));
#else
    return tx.exec_prepared(name, pqxx::prepare::make_dynamic_params(native(params)));
#endif
  });
}

Rows Session::statement(const std::string& sql, const Params& params) {
  return alone("statement", sql, params);
}

// Behind a pooler, what is in no transaction yet gets one, with the settings of ours.
Rows Session::alone(std::string_view name, const std::string& sql, const Params& params) {
  const auto run = [&] {
    return impl_->guarded(name, sql,
                          [&](pqxx::nontransaction& tx) { return once(tx, sql, params); });
  };
  if (!impl_->pooled || impl_->in_transaction) return run();
  Transaction tx(*this);
  auto rows = run();
  tx.commit();
  return rows;
}

Rows Session::script(const std::string& sql) {
  return impl_->guarded("script", sql, [&](pqxx::nontransaction& tx) { return tx.exec(sql); });
}

void Session::check_syntax(const std::string& sql) {
  require_direct();
  // A name of its own each time: libpqxx remembers a definition even when it was refused.
  const std::string name = "lockkeeper_check_syntax_" + std::to_string(++impl_->checks);
  impl_->guarded("check_syntax", sql, [&](pqxx::nontransaction&) {
    impl_->connection->prepare(name, sql);
    // libpqxx 6.4 sends the definition only when it is first wanted.
#if PQXX_VERSION_MAJOR < 7
    impl_->connection->prepare_now(name);
#endif
    impl_->connection->unprepare(name);
    return pqxx::result();
  });
}

void Session::require_direct() const {
  if (!impl_->pooled) return;
  throw Error(Retry::never,
              "a connection pooler is in between: this must be a session of the server itself",
              "08P01");
}

void Session::listen(const std::string& channel) {
  require_direct();
#if PQXX_VERSION_MAJOR >= 7
  try {
    impl_->connection->listen(channel, [this](pqxx::notification event) {
      impl_->notifications.push_back(
          {std::string(event.channel), std::string(event.payload), event.backend_pid});
    });
  } catch (const std::exception& error) {
    impl_->broken = true;
    throw Error(Retry::new_session, report_from(error.what(), "08006", {}), "listen");
  }
#else
  try {
    impl_->receivers.push_back(
        std::make_unique<Impl::Receiver>(*impl_->connection, channel, impl_->notifications));
  } catch (const std::exception& error) {
    impl_->broken = true;
    throw Error(Retry::new_session, report_from(error.what(), "08006", {}), "listen");
  }
#endif
}

int Session::socket() const { return impl_->broken ? -1 : impl_->connection->sock(); }

std::vector<Notification> Session::take_notifications() {
  try {
    impl_->connection->get_notifs();
    if (!impl_->connection->is_open()) throw pqxx::broken_connection();
  } catch (const std::exception& error) {
    impl_->broken = true;
    throw Error(Retry::new_session, report_from(error.what(), "08006", {}), "notifications");
  }
  std::vector<Notification> taken;
  taken.swap(impl_->notifications);
  return taken;
}

bool Session::wait_for_notification(std::chrono::milliseconds most) const {
  // They may have come in with the answer to a query, and then the socket tells nothing.
  if (!impl_->notifications.empty()) return true;
  pollfd waiting{socket(), POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(most.count())) > 0;
}

void Session::in_transaction(bool is) { impl_->in_transaction = is; }
bool Session::pooled() const { return impl_->pooled; }
const std::string& Session::local_settings() const { return impl_->local; }
bool Session::broken() const { return impl_->broken; }
void Session::poison() { impl_->broken = true; }
int Session::backend_pid() const { return impl_->pid; }
int Session::server_version() const { return impl_->version; }

Transaction::Transaction(Session& session, const std::string& begin) : session_(session) {
  try {
    // First of all: what the caller sets holds.
    auto text = begin;
    if (session_.pooled()) {
      // A role's defaults hold there, until we say what holds.
      if (text.rfind("BEGIN;", 0) == 0 || text == "BEGIN")
        text.insert(5, " ISOLATION LEVEL READ COMMITTED READ WRITE");
      text.insert(std::min(text.find(';'), text.size()), session_.local_settings());
    }
    session_.script(text);
    session_.in_transaction(true);
  } catch (const Error&) {
    // BEGIN itself may have worked, and what came with it not.
    if (!session_.broken()) session_.script("ROLLBACK");
    throw;
  }
}

Transaction::~Transaction() {
  if (!open_) return;
  session_.in_transaction(false);
  if (session_.broken()) return;
  try {
    session_.script("ROLLBACK");
  } catch (const std::exception&) {
    session_.poison();  // The server rolls back when the socket closes.
  }
}

void Transaction::commit() { commit(std::string()); }

void Transaction::commit(const std::string& last) {
  try {
    session_.script(last.empty() ? "COMMIT" : last + ";COMMIT");
    open_ = false;
    session_.in_transaction(false);
  } catch (const Error& error) {
    // A server that answered has decided; without an answer only the tables know.
    if (session_.broken()) {
      open_ = false;
      throw Error(Retry::outcome_unknown, error.report(), "commit");
    }
    rollback();
    throw;
  }
}

void run_at_once(Session& session, const std::string& begin, const std::string& statement,
                 const std::string& last) {
  try {
    // The line break ends a comment that the statement may end with.
    session.script(begin + statement + "\n;" + last + ";COMMIT");
  } catch (const Error& error) {
    Report report = error.report();
    const int before = characters(begin, begin.size());
    const int length = characters(statement, statement.size());
    const bool inside = report.position > before && report.position <= before + length + 1;
    report.position = inside ? report.position - before : 0;
    report.statement = statement;
    if (session.broken()) throw Error(Retry::outcome_unknown, std::move(report), "commit");
    session.script("ROLLBACK");
    throw Error(error.retry(), std::move(report), "statement");
  }
}

void Transaction::rollback() {
  open_ = false;
  session_.in_transaction(false);
  session_.script("ROLLBACK");
}

}  // namespace lockkeeper::pg
