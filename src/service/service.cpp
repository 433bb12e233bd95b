#include "service/service.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <set>
#include <thread>

#include "base/log.hpp"
#include "parse/parser.hpp"
#include "pg/migrator.hpp"

namespace lockkeeper::service {
namespace {

std::string default_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + ":" + std::to_string(getpid());
}

std::string name_of(const pg::Dsn& dsn) {
  for (const char* key : {"dbname", "user"})
    if (auto name = dsn.value(key); !name.empty()) return name;
  for (const char* variable : {"PGDATABASE", "PGUSER"})
    if (const char* name = std::getenv(variable); name != nullptr && *name != '\0') return name;
  return "default";
}

// What a database is called in metrics and logs: its name; of several with one name, where it is
// too.
std::vector<std::pair<pg::Dsn, std::string>> labelled(const std::vector<std::string>& dsns) {
  std::vector<std::pair<pg::Dsn, std::string>> all;
  std::map<std::string, int> count;
  for (const auto& dsn : dsns) {
    all.emplace_back(dsn, "");
    ++count[name_of(all.back().first)];
  }
  for (auto& [dsn, label] : all) {
    label = name_of(dsn);
    if (count[label] == 1) continue;
    label += "@" + dsn.value("host");
    if (const auto port = dsn.value("port"); !port.empty()) label += ":" + port;
  }
  return all;
}

sigset_t own_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

// The names of what a running process cannot change.
std::string hold_after_restart(const config::WorkSettings& one, const config::WorkSettings& other) {
  std::string names;
  const auto compare = [&](const char* name, bool same) {
    if (!same) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  compare("dsn", one.dsns == other.dsns);
  compare("name", one.name == other.name);
  compare("lock-timeout", one.lock_timeout == other.lock_timeout);
  compare("probe", one.probe_most == other.probe_most);
  compare("lag", one.lag_most == other.lag_most);
  compare("retries", one.tries_most == other.tries_most);
  compare("flush-each-job", one.flush_each_job == other.flush_each_job);
  compare("lease", one.lease == other.lease);
  compare("poll", one.poll == other.poll);
  compare("shutdown-limit", one.shutdown == other.shutdown);
  compare("metrics", one.metrics_address == other.metrics_address);
  return names;
}

}  // namespace

namespace {

// RAISE can make any code: only those that tell something of the queue have a series.
std::string bounded(const std::string& sqlstate) {
  static const std::set<std::string> kKnown = {
      "08006", "0A000", "22023", "23502", "23503", "23505", "23514", "25006", "25P02", "2BP01",
      "40001", "40P01", "42501", "42601", "42701", "42703", "42704", "42710", "42723", "42883",
      "42P01", "42P06", "42P07", "53100", "53200", "53300", "53400", "54000", "55000", "55006",
      "55P03", "57014", "57P01", "57P02", "57P03", "58030", "LK001", "LK002", "XX000"};
  return kKnown.count(sqlstate) != 0 ? sqlstate : "other";
}

}  // namespace

void QueryObserver::query_done(std::string_view name, double seconds, const std::string& sqlstate) {
  metrics_.observe(metrics::query_seconds, {{"query", std::string(name)}}, seconds);
  if (!sqlstate.empty())
    metrics_.count(metrics::query_errors_total,
                   {{"query", std::string(name)}, {"sqlstate", bounded(sqlstate)}});
}

Service::Service(config::WorkSettings settings)
    : settings_(std::move(settings)), read_(settings_), observer_(metrics_) {
  if (settings_.name.empty()) settings_.name = default_name();
  if (settings_.dsns.empty()) settings_.dsns.emplace_back();
  metrics_.set(metrics::build_info,
               {{"version", LOCKKEEPER_VERSION},
                {"schema", std::to_string(pg::schema_version_of_binary())},
                {"grammar", std::to_string(parse::grammar())}},
               1);
  for (const auto& [dsn, label] : labelled(settings_.dsns))
    controls_.push_back(
        std::make_unique<workers::Control>(dsn, label, settings_, metrics_, observer_));
}

Service::~Service() { stop(); }

void Service::start() {
  if (!settings_.metrics_address.empty()) {
    try {
      http_ = std::make_unique<metrics::HttpServer>(settings_.metrics_address, routes());
      log::info("serving metrics", {{"address", http_->address()}});
    } catch (const Error& error) {
      if (settings_.metrics_required) throw;
      log::warning("no metrics", {{"reason", error.what()}});
    }
  }
  for (auto& control : controls_) control->start();
}

void Service::reload(const config::WorkSettings& settings) {
  for (auto& control : controls_) control->resize(settings.workers, settings.reorg_workers);
  if (const auto later = hold_after_restart(settings, read_); !later.empty())
    log::warning("some settings were changed that hold after a restart only",
                 {{"settings", later}});
  log::info("settings were read again",
            {{"workers", std::to_string(settings.workers)},
             {"reorg_workers", std::to_string(settings.reorg_workers)}});
}

metrics::HttpServer::Routes Service::routes() {
  using Check = std::string (workers::Control::*)() const;
  const auto all = [this](Check check, const std::string& otherwise) {
    metrics::Page page;
    page.text = otherwise;
    for (const auto& control : controls_)
      if (const auto reason = (*control.*check)(); !reason.empty()) page.text += reason + "\n";
    page.status = page.text.empty() ? 200 : 503;
    if (page.text.empty()) page.text = "ok\n";
    return page;
  };
  return {{"/metrics",
           [this] {
             return metrics::Page{200, metrics_.text(), "text/plain; version=0.0.4; charset=utf-8"};
           }},
          {"/healthz", [all] { return all(&workers::Control::not_alive, ""); }},
          {"/readyz", [this, all] {
             return all(&workers::Control::not_ready, stopping_ ? "stopping\n" : "");
           }}};
}

void Service::stop() {
  stopping_ = true;
  std::vector<std::thread> stopping;
  for (auto& control : controls_) stopping.emplace_back([&control] { control->stop(); });
  for (auto& thread : stopping) thread.join();
  http_.reset();
  controls_.clear();
}

void Service::block_signals() {
  const auto set = own_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int Service::wait_for_signal() {
  const auto set = own_signals();
  int received = 0;
  while (sigwait(&set, &received) != 0) {
  }
  if (received == SIGHUP) return received;
  // Whoever asks again while we end in order does not want to wait; a hangup is no such question.
  sigset_t again = set;
  sigdelset(&again, SIGHUP);
  pthread_sigmask(SIG_UNBLOCK, &again, nullptr);
  return received;
}

}  // namespace lockkeeper::service
