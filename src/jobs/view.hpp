#pragma once
// Jobs and history as people see them: the rows of the views lockkeeper.jobs and
// lockkeeper.history, as JSON objects, so that the CLI and psql always agree.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

using Json = nlohmann::ordered_json;

/// Unfinished jobs, in id order, at most `limit`.
std::vector<Json> list(pg::Session& session, int limit);
/// Ended jobs, newest first, at most `limit`.
std::vector<Json> history(pg::Session& session, int limit);
/// One job, wherever it is, with all its fields; empty: there is none.
std::optional<Json> show(pg::Session& session, JobId job);
/// State of each of `ids`, where they are now: {id, state, action, dependency_id, error, …}.
std::vector<Json> states(pg::Session& session, const std::vector<JobId>& ids);

}  // namespace lockkeeper::jobs
