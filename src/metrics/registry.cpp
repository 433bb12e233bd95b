#include "metrics/registry.hpp"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <mutex>

#include "base/error.hpp"

namespace lockkeeper::metrics {
namespace {

using Counters = prometheus::Family<prometheus::Counter>;
using Gauges = prometheus::Family<prometheus::Gauge>;
using Histograms = prometheus::Family<prometheus::Histogram>;
using Labels = std::map<std::string, std::string>;

// From a tenth of a millisecond (one statement on a socket) to hours (a large index).
const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
    0.5,    1,      2.5,   5,      10,    30,   60,    300,  1800, 7200};

}  // namespace

struct Registry::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer;

  Counters& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
  }
  Gauges& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(*registry);
  }
  Histograms& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
  }

  Counters& ended = counter("lockkeeper_jobs_ended_total", "Jobs that ended, by result.");
  Histograms& wait = histogram("lockkeeper_job_wait_seconds",
                               "Time from the submission of a job to its first claim.");
  Histograms& run =
      histogram("lockkeeper_job_run_seconds", "Time from the claim of a job to its end.");
  Counters& retries = counter("lockkeeper_job_retries_total",
                              "Failed tries of jobs that are tried again, by SQLSTATE.");
  Counters& reclaims = counter("lockkeeper_jobs_reclaimed_total",
                               "Jobs handed back because the session of their worker was gone.");
  Counters& wakes =
      counter("lockkeeper_wakes_total", "Wake-ups of a worker pool, by what caused them.");
  Gauges& pool_most = gauge("lockkeeper_pool_size", "Most worker threads of a pool, as set.");
  Gauges& pool_size =
      gauge("lockkeeper_pool_workers", "Worker threads of a pool that are there now.");
  Gauges& pool_busy = gauge("lockkeeper_pool_busy", "Worker threads that run a job now.");
  Gauges& jobs = gauge("lockkeeper_jobs", "Unfinished jobs, by state and action.");
  Gauges& oldest =
      gauge("lockkeeper_oldest_job_seconds", "Age of the oldest unfinished job, by state.");
  Histograms& queries =
      histogram("lockkeeper_query_seconds", "Time of statements on the job table, by query name.");
  Counters& query_errors =
      counter("lockkeeper_query_errors_total", "Failed statements, by query name and SQLSTATE.");
  Gauges& up = gauge("lockkeeper_database_connected",
                     "1 while the listening session of a database is connected.");

  std::mutex mutex;
  std::map<std::string, std::map<Labels, std::pair<Gauges*, prometheus::Gauge*>>> queue_series;
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

std::string Registry::expose(const std::string& address) {
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(address, 1);
    impl_->exposer->RegisterCollectable(impl_->registry);
    const auto ports = impl_->exposer->GetListeningPorts();
    const auto host = address.substr(0, address.rfind(':'));
    return host + ":" + std::to_string(ports.empty() ? 0 : ports.front());
  } catch (const std::exception& error) {
    throw Error(Retry::never, "cannot serve metrics at " + address + ": " + error.what());
  }
}

std::string Registry::text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

void Registry::job_ended(const std::string& database, const std::string& action,
                         const std::string& result, double wait_seconds, double run_seconds) {
  impl_->ended.Add({{"database", database}, {"action", action}, {"result", result}}).Increment();
  impl_->wait.Add({{"database", database}}, kSeconds).Observe(wait_seconds);
  impl_->run.Add({{"database", database}, {"action", action}}, kSeconds).Observe(run_seconds);
}

void Registry::job_retried(const std::string& database, const std::string& sqlstate) {
  impl_->retries.Add({{"database", database}, {"sqlstate", sqlstate}}).Increment();
}

void Registry::job_reclaimed(const std::string& database) {
  impl_->reclaims.Add({{"database", database}}).Increment();
}

void Registry::woken(const std::string& database, const std::string& by) {
  impl_->wakes.Add({{"database", database}, {"by", by}}).Increment();
}

void Registry::pool(const std::string& database, const std::string& pool, int most, int workers,
                    int busy) {
  impl_->pool_most.Add({{"database", database}, {"pool", pool}}).Set(most);
  impl_->pool_size.Add({{"database", database}, {"pool", pool}}).Set(workers);
  impl_->pool_busy.Add({{"database", database}, {"pool", pool}}).Set(busy);
}

void Registry::queue(const std::string& database, const std::vector<QueueGauge>& gauges) {
  const std::lock_guard lock(impl_->mutex);
  auto& series = impl_->queue_series[database];
  std::map<Labels, std::pair<Gauges*, double>> wanted;
  for (const auto& entry : gauges) {
    wanted[{{"database", database}, {"state", entry.state}, {"action", entry.action}}] = {
        &impl_->jobs, entry.jobs};
    auto& age = wanted[{{"database", database}, {"state", entry.state}}];
    age = {&impl_->oldest, std::max(age.second, entry.oldest_seconds)};
  }
  for (auto it = series.begin(); it != series.end();) {
    if (wanted.count(it->first) != 0) {
      ++it;
      continue;
    }
    it->second.first->Remove(it->second.second);
    it = series.erase(it);
  }
  for (const auto& [labels, value] : wanted) {
    auto& gauge = value.first->Add(labels);
    gauge.Set(value.second);
    series[labels] = {value.first, &gauge};
  }
}

void Registry::query(const std::string& name, double seconds, const std::string& sqlstate) {
  impl_->queries.Add({{"query", name}}, kSeconds).Observe(seconds);
  if (!sqlstate.empty())
    impl_->query_errors.Add({{"query", name}, {"sqlstate", sqlstate}}).Increment();
}

void Registry::connected(const std::string& database, bool yes) {
  impl_->up.Add({{"database", database}}).Set(yes ? 1 : 0);
}

}  // namespace lockkeeper::metrics
