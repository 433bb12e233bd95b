#pragma once
// What a worker process can be told, with its defaults. Values; read once at start.

#include <chrono>
#include <string>
#include <vector>

#include "base/backoff.hpp"

namespace lockkeeper::config {

struct WorkSettings {
  std::vector<std::string> dsns;  ///< one queue each; one empty DSN: PG* variables
  std::string name;               ///< empty: host:pid
  int workers = 8;  ///< most threads for quick changes, each with a session, for each database
  int reorg_workers = 0;  ///< the same for changes that read or write rows; 0: half the cores, >= 2
  std::chrono::milliseconds lock_timeout{100};           ///< of each lock of a step (promise 9)
  std::chrono::milliseconds first_lock_timeout{20};      ///< the same of the first try
  std::chrono::milliseconds long_lock_timeout{1800000};  ///< CONCURRENTLY: blocks nobody meanwhile
  std::chrono::milliseconds probe_most{5000};            ///< of a query for rows that do not fit
  std::chrono::milliseconds lag_most{10000};  ///< of a standby, before a backfill waits for it
  std::chrono::milliseconds sync_most{500};   ///< in a worker, for nodes; then in the queue
  int tries_most = 512;                       ///< retryable errors before a job is given up
  int crashes_most = 3;                       ///< deaths of workers before a job is set aside
  bool flush_each_job = false;                ///< each job's commit waits for the disk
  std::chrono::milliseconds lease{15000};     ///< silence of a process before its claims are taken
  std::chrono::milliseconds idle_close{30000};  ///< then an idle session is closed, but one
  std::chrono::milliseconds poll{5000};         ///< the net under LISTEN/NOTIFY
  std::chrono::milliseconds liveness{400};      ///< how often lost workers are looked for
  std::chrono::milliseconds shutdown{20000};    ///< then running statements are stopped
  Backoff lock_backoff{std::chrono::milliseconds(50), std::chrono::milliseconds(3000)};
  Backoff connect_backoff{std::chrono::milliseconds(100), std::chrono::milliseconds(5000)};
  std::string metrics_address = "127.0.0.1:9632";  ///< empty: none
  bool metrics_required = false;                   ///< an address in use is an error, not a warning
};

}  // namespace lockkeeper::config
