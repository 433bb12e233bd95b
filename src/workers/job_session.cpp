#include "workers/job_session.hpp"

#include <random>

#include "pg/quote.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::workers {
namespace {

// Waiting for a row of the queue happens while the job's locks on tables are held: keep it short.
constexpr const char* kQueueLockTimeout = "100ms";

std::string set_config(const std::string& name, const std::string& value, bool local) {
  return "pg_catalog.set_config(" + pg::quote_literal(name) + ", " + pg::quote_literal(value) +
         (local ? ", true)" : ", false)");
}

// What has another name afterwards, or none, is told by what it was before.
bool may_rename(const jobs::Job& job) {
  const auto& action = job.action;
  return job.statements.size() > 1 || job.opaque || action.rfind("drop", 0) == 0 ||
         action.rfind("rename", 0) == 0 || action.find("schema") != std::string::npos;
}

// By the job's role, not by whoever looks: names are looked up outside of its code too.
std::string search_path_of(const jobs::Job& job) {
  static const std::string kUser = "\"$user\"";
  auto path = job.search_path;
  for (auto at = path.find(kUser); at != std::string::npos; at = path.find(kUser, at)) {
    const auto role = pg::quote_ident(job.role);
    path.replace(at, kUser.size(), role);
    at += role.size();
  }
  return path;
}

std::string unguessable_name() {
  std::random_device random;
  std::string name = "lockkeeper_run";
  for (int i = 0; i < 4; ++i) name += "_" + std::to_string(random());
  return name;
}

}  // namespace

JobSession::JobSession(pg::Session& session, const jobs::Environment& own, const jobs::Job& job,
                       std::chrono::milliseconds lock_timeout)
    : session_(session),
      own_(own),
      job_(job),
      lock_timeout_(lock_timeout),
      trusted_(job.role == own.login) {}

// Only what differs from the session as it is: usually nothing.
std::string JobSession::settings_text(bool local) const {
  std::string calls;
  const auto add = [&](const std::string& name, const std::string& value) {
    calls += (calls.empty() ? "SELECT " : ", ") + set_config(name, value, local);
  };
  for (const auto& [name, value] : job_.settings) {
    if (name.compare(0, 11, "lockkeeper.") == 0) continue;  // How it is run, not what it means.
    const auto mine = own_.settings.find(name);
    if (mine == own_.settings.end() || mine->second != value) add(name, value);
  }
  // In its own session "$user" is who it is, and a function that is made keeps it as it was
  // written.
  const auto path = trusted_ ? job_.search_path : search_path_of(job_);
  if (path != own_.search_path) add("search_path", path);
  return calls.empty() ? calls : calls + ";";
}

std::string JobSession::begin_text() const { return "BEGIN;" + dress_text(); }

std::string JobSession::dress_text() const {
  std::string text;
  // Code that nobody can read may do things outside of the database: its end waits for the disk.
  if (job_.opaque || job_.unparsed_run) text += "SET LOCAL synchronous_commit TO DEFAULT;";
  if (may_rename(job_)) text += "SELECT lockkeeper.remember_objects(" + job_.claim.job.str() + ");";
  const std::string settings = settings_text(true);
  // Last: nothing that a job brings along may change it.
  const std::string limit =
      "SET LOCAL lock_timeout = " + std::to_string(lock_timeout_.count()) + ";";
  text += need_submitter();
  if (trusted_) return text + settings + limit;
  // Settings with the role's own rights: it must not borrow the worker's
  // (session_replication_role).
  const std::string role = "SET LOCAL ROLE " + pg::quote_ident(job_.role) + ";";
  return text + role + settings + "SET LOCAL ROLE NONE;" + limit;
}

std::int64_t JobSession::run(const std::string& statement) {
  if (trusted_) return static_cast<std::int64_t>(session_.statement(statement).affected());
  // A new function for each statement, because a statement could change the one that runs it, under
  // a name that nobody can have made an overload of beforehand.
  const std::string function = "pg_temp." + unguessable_name();
  session_.script(
      "SET LOCAL ROLE " + pg::quote_ident(job_.role) + "; CREATE FUNCTION " + function +
      "(statement pg_catalog.text) RETURNS pg_catalog.int8 LANGUAGE plpgsql SECURITY DEFINER "
      "AS 'DECLARE n pg_catalog.int8; BEGIN EXECUTE statement; GET DIAGNOSTICS n = "
      "ROW_COUNT; RETURN n; END';"
      "SET LOCAL ROLE NONE");
  std::int64_t rows = 0;
  try {
    rows = session_
               .statement("SELECT " + function + "($1::pg_catalog.text) AS rows",
                          pg::Params::of(statement))
               .front()
               .integer("rows");
  } catch (const Error& error) {
    Report report = error.report();
    report.statement = statement;
    report.context.clear();  // It would speak of our function.
    throw Error(error.retry(), report, error.query());
  }
  session_.script("DROP FUNCTION IF EXISTS " + function + "(pg_catalog.text)");
  return rows;
}

std::string JobSession::undress() {
  const std::string off = std::string("SET LOCAL search_path = pg_catalog, pg_temp;") +
                          "SET LOCAL lock_timeout = '" + kQueueLockTimeout + "';";
  if (trusted_) return "SET CONSTRAINTS ALL IMMEDIATE;" + off;
  run("SET CONSTRAINTS ALL IMMEDIATE");
  session_.script(off);
  if (session_.run(sql::workers_late_triggers).empty()) return {};
  // A trigger can defer again what was just fired; at COMMIT it would run as the worker.
  Report report;
  report.sqlstate = "0A000";
  report.message = "the job wrote to a table with a deferrable trigger of its own";
  report.hint = "such triggers fire at COMMIT, outside of the role's limits: submit it as role " +
                own_.login + ", or make the trigger NOT DEFERRABLE";
  throw Error(Retry::never, report, "undress");
}

// SET ROLE of its file: what its submitter may may have changed since.
std::string JobSession::need_submitter() const {
  if (job_.settings.count("lockkeeper.submitter") == 0) return {};
  return "SELECT lockkeeper.need_submitter(" + job_.claim.job.str() + ");";
}

void JobSession::dress_session() {
  if (const auto check = need_submitter(); !check.empty()) session_.script(check);
  if (!trusted_) session_.script("SET ROLE " + pg::quote_ident(job_.role));
  const std::string settings = settings_text(false);
  if (!settings.empty()) session_.script(settings);
  session_.script("SET lock_timeout = " + std::to_string(lock_timeout_.count()));
}

bool JobSession::leaves_traces() const {
  return !trusted_ || job_.opaque || job_.unparsed_run || job_.statements.size() > 1;
}

}  // namespace lockkeeper::workers
