#pragma once
// All metrics of a worker process: the only user of prometheus-cpp. Names and sentences come from
// metrics/metrics.txt. Any thread. Nothing survives a restart: counters start at zero, as
// Prometheus expects.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "metrics/list.hpp"

namespace lockkeeper::metrics {

using Labels = std::map<std::string, std::string>;

/// One series of a gauge.
struct Sample {
  Labels labels;
  double value = 0;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Counters and histograms of a database that have no other label begin at zero now, so that a
  /// rate sees their first step.
  void begin(const std::string& database);
  /// Adds to a counter.
  void count(Metric metric, const Labels& labels, double more = 1);
  /// Adds a value to a histogram: seconds, or tries.
  void observe(Metric metric, const Labels& labels, double value);
  void set(Metric metric, const Labels& labels, double value);
  /// Replaces all series of the gauge that have the label database=`database`: what is not among
  /// `samples` has no series any more.
  void replace(Metric metric, const std::string& database, const std::vector<Sample>& samples);

  /// The text that GET /metrics gives (Prometheus' exposition format 0.0.4), with what the process
  /// uses now.
  [[nodiscard]] std::string text();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Adds its lifetime, in seconds, to a histogram. One thread.
class Timer {
 public:
  Timer(Registry& registry, Metric metric, Labels labels)
      : registry_(registry), metric_(metric), labels_(std::move(labels)) {}
  ~Timer() {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
    registry_.observe(metric_, labels_, took.count());
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void add(const std::string& label, const std::string& value) { labels_[label] = value; }

 private:
  Registry& registry_;
  Metric metric_;
  Labels labels_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

/// Counts an operation, and its time, when it goes out of scope: as an error, unless succeeded()
/// was called. One thread.
class Operation {
 public:
  Operation(Registry& registry, const std::string& database, const char* name)
      : timer_(registry, operation_seconds,
               {{"database", database}, {"operation", name}, {"result", "error"}}) {}

  void succeeded() { timer_.add("result", "ok"); }
  /// It could not be done now, which is no error: somebody holds a lock, or a job is to be stopped.
  void put_off() { timer_.add("result", "put off"); }

 private:
  Timer timer_;
};

}  // namespace lockkeeper::metrics
