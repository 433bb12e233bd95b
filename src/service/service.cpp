#include "service/service.hpp"

#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <thread>

#include "base/log.hpp"

namespace lockkeeper::service {
namespace {

std::string default_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + ":" + std::to_string(getpid());
}

}  // namespace

void QueryObserver::query_done(std::string_view name, double seconds, const std::string& sqlstate) {
  metrics_.query(std::string(name), seconds, sqlstate);
}

Service::Service(config::WorkSettings settings)
    : settings_(std::move(settings)), observer_(metrics_) {
  if (settings_.name.empty()) settings_.name = default_name();
  if (settings_.dsns.empty()) settings_.dsns.emplace_back();
  for (const auto& dsn : settings_.dsns)
    controls_.push_back(
        std::make_unique<workers::Control>(pg::Dsn(dsn), settings_, metrics_, observer_));
}

Service::~Service() { stop(); }

void Service::start() {
  if (!settings_.metrics_address.empty()) {
    try {
      metrics_address_ = metrics_.expose(settings_.metrics_address);
      log::info("serving metrics", {{"address", metrics_address_}});
    } catch (const Error& error) {
      if (settings_.metrics_required) throw;
      log::warning("no metrics", {{"reason", error.what()}});
    }
  }
  for (auto& control : controls_) control->start();
}

void Service::stop() {
  std::vector<std::thread> stopping;
  for (auto& control : controls_) stopping.emplace_back([&control] { control->stop(); });
  for (auto& thread : stopping) thread.join();
  controls_.clear();
}

void Service::block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int Service::wait_for_signal() {
  boost::asio::io_context loop;
  boost::asio::signal_set signals(loop, SIGINT, SIGTERM);
  int received = 0;
  signals.async_wait([&](const auto& failed, int number) {
    if (!failed) received = number;
  });
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  loop.run();
  return received;
}

}  // namespace lockkeeper::service
