#pragma once
// A claimed job as its worker knows it, and how jobs are shown. Values; any thread.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/ids.hpp"
#include "jobs/job_state.hpp"

namespace lockkeeper::jobs {

/// The right to move one job, until a later claim raises the epoch (promise 2).
struct Claim {
  JobId job;
  Epoch epoch;
};

struct Job {
  Claim claim;
  std::string action;
  std::vector<std::string> statements;
  std::string role;
  std::string search_path;
  std::map<std::string, std::string> settings;
  bool parsed = true;
  bool transactional = true;
  bool opaque = false;
  bool unparsed_run = false;
  bool instant = false;          ///< may share a transaction with others of its kind
  bool outside_started = false;  ///< an earlier claim kept a plan, or began outside a transaction
  bool cancel_wanted = false;    ///< it is to end as cancelled: an earlier claim could not end it
  Report failure = {};           ///< cancel_wanted: why
  int tries = 0;
  int crashes = 0;            ///< claims that ended with the death of their worker
  double waited_seconds = 0;  ///< from submission to this claim
};

/// An error as it is kept in ddl_job.error and ddl_history.error (jsonb text), and back.
std::string to_json(const Report& report);
Report report_from_json(const std::string& json);

}  // namespace lockkeeper::jobs
