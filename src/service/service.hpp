#pragma once
// Puts the parts of a worker process together: metrics, one control for each database, signals.
// The only place that constructs them.

#include <atomic>
#include <memory>
#include <vector>

#include "config/settings.hpp"
#include "metrics/http_server.hpp"
#include "metrics/registry.hpp"
#include "pg/session.hpp"
#include "workers/control.hpp"

namespace lockkeeper::service {

/// Plugs the metrics into the sessions: the query's name is the label.
class QueryObserver final : public pg::Observer {
 public:
  explicit QueryObserver(metrics::Registry& metrics) : metrics_(metrics) {}
  void query_done(std::string_view name, double seconds, const std::string& sqlstate) override;

 private:
  metrics::Registry& metrics_;
};

class Service {
 public:
  explicit Service(config::WorkSettings settings);
  /// Stops as stop() does.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Starts all threads; comes back at once. Throws Error when the metrics address is required and
  /// taken.
  void start();
  /// Finishes or hands back what runs, within settings.shutdown. May be called again.
  void stop();
  /// Takes what of `settings` can change while it runs: the sizes of the pools. Says which others
  /// differ and need a restart.
  void reload(const config::WorkSettings& settings);
  [[nodiscard]] metrics::Registry& metrics() { return metrics_; }
  /// Where /metrics is served, with the port that was picked; empty: nowhere.
  [[nodiscard]] std::string metrics_address() const { return http_ ? http_->address() : ""; }

  /// Blocks SIGINT, SIGTERM and SIGHUP for the threads that are started later, so that only
  /// wait_for_signal() sees them.
  static void block_signals();
  /// Waits for SIGINT, SIGTERM or SIGHUP; gives its number.
  static int wait_for_signal();

 private:
  metrics::HttpServer::Routes routes();

  config::WorkSettings settings_;
  config::WorkSettings read_;  ///< as they were given
  metrics::Registry metrics_;
  std::atomic<bool> stopping_ = false;
  QueryObserver observer_;
  std::vector<std::unique_ptr<workers::Control>> controls_;
  std::unique_ptr<metrics::HttpServer> http_;
};

}  // namespace lockkeeper::service
