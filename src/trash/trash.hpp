#pragma once
// What was dropped can be had back until it is purged (promise 14): a dropped table is moved to a
// schema of its own, in the transaction of the job that drops it, and is dropped later. One thread,
// in the caller's session. A crash leaves the table where it was, or in the trash. Idea: Vitess'
// table lifecycle, TiDB's RECOVER TABLE.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pg/session.hpp"

namespace lockkeeper::trash {

/// Whose rights the session has: only a worker's say whether it may put a table into the trash.
enum class Asker { worker, client };

/// Why one of the relations cannot be kept; empty: all can. Throws Error.
std::string why_not(pg::Session& session, const std::vector<std::string>& oids,
                    Asker asker = Asker::worker);

/// The command, for the end of the transaction of job `job`, that puts tables into the trash.
std::string put_text(std::int64_t job, const std::vector<std::string>& oids);

/// What is in the trash, the oldest first: id, schema_name, name, job_id, role, bytes, put_at,
/// purge_at, left_seconds. Throws Error.
std::vector<nlohmann::ordered_json> list(pg::Session& session);

/// The statements that bring an item back, to be submitted as one batch. Throws Error (LK020: it is
/// not there, or not the caller's).
std::vector<std::string> restore_statements(pg::Session& session, std::int64_t item);

struct Purged {
  std::int64_t id{};
  std::string name;
  std::string problem;  ///< why it could not be dropped; empty: it was, or will be
  bool later = false;   ///< by a worker, which alone has the right
};

/// Drops `items`, as far as they are the caller's; when there are none, what has been kept for long
/// enough, some at a time. Throws Error.
std::vector<Purged> purge(pg::Session& session, const std::vector<std::int64_t>& items = {});

/// Drops those of `items` that keep job `job` from dropping or changing what they are made of, as
/// far as the job's role may drop them. Throws Error.
std::vector<Purged> purge_in_the_way(pg::Session& session, std::int64_t job, std::int64_t epoch,
                                     const std::vector<std::int64_t>& items);

/// The items that the text of an error names (as objects of their schemas).
std::vector<std::int64_t> named_in(const std::string& text);

}  // namespace lockkeeper::trash
