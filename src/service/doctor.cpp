#include "service/doctor.hpp"

#include <chrono>
#include <cmath>
#include <functional>

#include "pg/migrator.hpp"
#include "pg/session.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::service {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kChannel = "lockkeeper_doctor";
constexpr std::chrono::milliseconds kNotificationMost{2000};
constexpr double kClockMost = 2;  // seconds

// Not prepared: a pooler may not know it in the next transaction.
pg::Rows ask(pg::Session& session, const pg::Query& query, const pg::Params& params = {}) {
  return session.statement(std::string(query.text), params);
}

Level level_from(const std::string& text) {
  for (const auto level : {Level::note, Level::warning, Level::problem})
    if (text == to_string(level)) return level;
  return Level::ok;
}

void add(std::vector<Finding>& findings, const pg::Rows& rows) {
  for (const auto row : rows) {
    const auto level = level_from(row.text("level"));
    findings.push_back({row.text("subject"), level, row.text("finding"),
                        level == Level::ok ? "" : row.text("mend")});
  }
}

// Does one come through?
Finding notifications(const pg::Dsn& dsn, pg::Session& session) {
  pg::Session listener(dsn, "lockkeeper doctor");
  listener.listen(kChannel);
  const auto begun = Clock::now();
  session.script(std::string("NOTIFY ") + kChannel);
  while (Clock::now() < begun + kNotificationMost) {
    if (!listener.take_notifications().empty()) {
      const std::chrono::duration<double, std::milli> took = Clock::now() - begun;
      return {"notifications", Level::ok,
              "come through in " + std::to_string(std::lround(std::ceil(took.count()))) + " ms",
              ""};
    }
    listener.wait_for_notification(std::chrono::milliseconds(50));
  }
  return {"notifications", Level::problem, "do not come through: workers find jobs by their poll",
          "connect to the server itself: what is in between?"};
}

Finding sessions_hold(const pg::Session& session) {
  if (session.pooled())
    return {"sessions", Level::problem, "a connection pooler is in between",
            "workers and nodes connect to the server itself; for submit, jobs, history and the "
            "like a pooler is fine"};
  return {"sessions", Level::ok, "a connection is a session of the server", ""};
}

Finding clocks(pg::Session& session) {
  const auto before = std::chrono::system_clock::now();
  const double there = ask(session, sql::service_clock).front().real("now");
  const std::chrono::duration<double> here = before.time_since_epoch();
  const double apart = std::abs(there - here.count());
  if (apart < kClockMost) return {"clock", Level::ok, "agrees with the server's", ""};
  return {"clock", Level::warning,
          "is " + std::to_string(std::lround(apart)) + " s apart from the server's",
          "leases go by the server's clock and are not hurt; times in logs are: use NTP"};
}

Finding schema(pg::Session& session) {
  const int here = pg::schema_version_of_binary();
  const int there = pg::schema_version(session);
  const std::string versions =
      "version " + std::to_string(there) + ", this binary's is " + std::to_string(here);
  if (there == here) return {"schema", Level::ok, "version " + std::to_string(there), ""};
  if (there == 0)
    return {"schema", Level::problem, "there is no lockkeeper schema", "lockkeeper migrate"};
  if (there < here) return {"schema", Level::problem, versions, "lockkeeper migrate"};
  return {"schema", Level::problem, versions, "use a newer binary"};
}

}  // namespace

const char* to_string(Level level) {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::note:
      return "note";
    case Level::warning:
      return "warning";
    case Level::problem:
      break;
  }
  return "problem";
}

std::vector<Finding> examine(const pg::Dsn& dsn, int sessions) {
  std::vector<Finding> findings;
  pg::Session session(dsn, "lockkeeper doctor", 5000);
  // What cannot be looked at keeps nobody from seeing the rest.
  const auto look = [&](const char* subject, const std::function<void()>& at) {
    try {
      at();
    } catch (const Error& error) {
      const bool rights = error.sqlstate() == "42501";
      findings.push_back({subject, Level::problem,
                          rights ? "this role may not read what is there" : error.what(),
                          rights ? "run the doctor as the role that the workers use" : ""});
    }
  };
  look("server",
       [&] { add(findings, ask(session, sql::service_doctor_server, pg::Params::of(sessions))); });
  look("sessions", [&] { findings.push_back(sessions_hold(session)); });
  if (!session.pooled())
    look("notifications", [&] { findings.push_back(notifications(dsn, session)); });
  look("clock", [&] { findings.push_back(clocks(session)); });
  look("queue", [&] {
    findings.push_back(schema(session));
    if (findings.back().level == Level::ok) add(findings, ask(session, sql::service_doctor_queue));
  });
  return findings;
}

}  // namespace lockkeeper::service
