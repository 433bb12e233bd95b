#include "metrics/registry.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <variant>

namespace lockkeeper::metrics {
namespace {

using Counters = prometheus::Family<prometheus::Counter>;
using Gauges = prometheus::Family<prometheus::Gauge>;
using Histograms = prometheus::Family<prometheus::Histogram>;
using Family = std::variant<Counters*, Gauges*, Histograms*>;

// From a tenth of a millisecond (one statement on a socket) to hours (a large index).
const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
    0.5,    1,      2.5,   5,      10,    30,   60,    300,  1800, 7200};
const prometheus::Histogram::BucketBoundaries kTries = {1, 2, 3, 5, 8, 13, 21, 34, 55, 144, 512};

Family make(prometheus::Registry& registry, const Description& description) {
  const auto filled = [&](auto builder) {
    return &builder.Name(description.name).Help(description.sentence).Register(registry);
  };
  switch (description.kind) {
    case Kind::counter:
      return filled(prometheus::BuildCounter());
    case Kind::gauge:
      return filled(prometheus::BuildGauge());
    case Kind::histogram:
      break;
  }
  return filled(prometheus::BuildHistogram());
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// 0 where there is no /proc.
double resident_bytes() {
  double total = 0;
  double resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double open_files() {
  std::error_code failed;
  double count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", failed), end; !failed && at != end;
       at.increment(failed))
    ++count;
  return count;
}

}  // namespace

struct Registry::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::vector<Family> families;  // constant after construction

  prometheus::Histogram& histogram(Metric metric, const Labels& labels) {
    const auto& buckets = metric.index == lock_tries.index ? kTries : kSeconds;
    return std::get<Histograms*>(families[metric.index])->Add(labels, buckets);
  }

  std::mutex mutex;
  // State below is protected by mutex.
  std::map<std::pair<std::size_t, std::string>, std::map<Labels, prometheus::Gauge*>> replaced;
  double processor_counted = 0;
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {
  for (const auto& description : kAll)
    impl_->families.push_back(make(*impl_->registry, description));
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  set(process_start_time_seconds, {}, now.count());
}

Registry::~Registry() = default;

void Registry::begin(const std::string& database) {
  for (std::size_t i = 0; i < kAll.size(); ++i) {
    if (kAll[i].labels != "database") continue;
    if (kAll[i].kind == Kind::counter) count({i}, {{"database", database}}, 0);
    if (kAll[i].kind == Kind::histogram) impl_->histogram({i}, {{"database", database}});
  }
}

void Registry::count(Metric metric, const Labels& labels, double more) {
  std::get<Counters*>(impl_->families[metric.index])->Add(labels).Increment(more);
}

void Registry::observe(Metric metric, const Labels& labels, double value) {
  impl_->histogram(metric, labels).Observe(value);
}

void Registry::set(Metric metric, const Labels& labels, double value) {
  std::get<Gauges*>(impl_->families[metric.index])->Add(labels).Set(value);
}

void Registry::replace(Metric metric, const std::string& database,
                       const std::vector<Sample>& samples) {
  const std::lock_guard lock(impl_->mutex);
  auto* family = std::get<Gauges*>(impl_->families[metric.index]);
  auto& known = impl_->replaced[{metric.index, database}];
  std::map<Labels, prometheus::Gauge*> now;
  for (const auto& sample : samples) {
    Labels labels = sample.labels;
    labels["database"] = database;
    auto& gauge = family->Add(labels);
    gauge.Set(sample.value);
    now[labels] = &gauge;
    known.erase(labels);
  }
  for (const auto& [labels, gauge] : known) family->Remove(gauge);
  known = std::move(now);
}

std::string Registry::text() {
  set(process_resident_memory_bytes, {}, resident_bytes());
  set(process_open_fds, {}, open_files());
  {
    const std::lock_guard lock(impl_->mutex);
    const double used = processor_seconds();
    count(process_cpu_seconds_total, {}, std::max(0.0, used - impl_->processor_counted));
    impl_->processor_counted = used;
  }
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

}  // namespace lockkeeper::metrics
