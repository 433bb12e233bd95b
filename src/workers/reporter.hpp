#pragma once
// Reads from the tables what the metrics say of a database: the queue, what holds jobs up,
// backfills, nodes, sizes. One thread, in the control's session. Keeps nothing but times.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "metrics/registry.hpp"
#include "pg/session.hpp"

namespace lockkeeper::workers {

class Reporter {
 public:
  Reporter(std::string database, metrics::Registry& metrics)
      : database_(std::move(database)), metrics_(metrics) {}

  /// Sets all gauges of the database. Throws Error.
  void report(pg::Session& session);
  /// Nothing is known of the database any more: its gauges have no series.
  void forget();

 private:
  void report_jobs(pg::Session& session);
  void report_database(pg::Session& session);
  void report_tables(pg::Session& session);
  void report_nodes(pg::Session& session);

  /// For how long the first job of each cause has been seen to be held up by it, in seconds.
  std::map<std::string, double> watch(const std::map<std::string, std::int64_t>& first);
  void put(metrics::Metric metric, const std::vector<metrics::Sample>& samples);

  std::string database_;
  metrics::Registry& metrics_;
  struct Held {
    std::int64_t job = 0;
    std::chrono::steady_clock::time_point since;
    int missed = 0;
  };
  std::map<std::string, Held> held_;                 ///< by cause
  std::vector<metrics::Metric> put_;                 ///< gauges that have been set, once each
  std::chrono::steady_clock::time_point last_;       ///< zero: none yet
  std::chrono::steady_clock::time_point next_size_;  ///< sizes change slowly
};

}  // namespace lockkeeper::workers
