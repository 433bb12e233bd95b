// DROP TABLE puts the table into the trash instead (promise 14), when it can be had back from there
// whole; otherwise it runs as it is written, and the log says why.
#include "base/log.hpp"
#include "catalog/reader.hpp"
#include "trash/trash.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

constexpr const char* kDependents = "2BP01";  // dependent_objects_still_exist
constexpr const char* kNoRight = "42501";     // insufficient_privilege

}  // namespace

std::string Executor::drop(const jobs::Job& job, JobSession& dressed,
                           const std::string& statement) {
  std::vector<std::string> names;
  bool cascade = false;
  const auto unit = parse::parse_one(statement);
  for (const auto& part : unit.statements.front().parts) {
    names.push_back(parse::quoted_name(part.relation));
    cascade = cascade || part.cascade;
  }
  const auto found = catalog::resolve(session_, names);
  std::string listed;
  std::vector<std::string> oids;
  for (const auto& [name, oid] : found) {
    listed += (listed.empty() ? "" : ", ") + name;
    oids.push_back(oid);
  }
  std::string reason = "there is nothing";
  if (!oids.empty()) {
    const catalog::SafeSearchPath safe(session_);
    reason = trash::why_not(session_, oids);
  }
  if (reason.empty() && !rehearsed(dressed, statement, listed, cascade))
    reason = "other objects are dropped with it, or the role may drop it and not lock it";
  if (reason.empty()) return trash::put_text(job.claim.job.value, oids);
  log::info("not kept in the trash", {{"job", job.claim.job.str()}, {"reason", reason}});
  dressed.run(statement);
  return {};
}

// Drops them, as far as nothing else goes with them, and takes that back: what may not be dropped,
// fails as it would. Gives false when something else would go too, or when the role may not even
// lock it (the owner of its schema may drop it all the same).
bool Executor::rehearsed(JobSession& dressed, const std::string& statement,
                         const std::string& names, bool cascade) {
  session_.script("SAVEPOINT lockkeeper_asks");
  try {
    dressed.run("LOCK TABLE " + names + " IN ACCESS EXCLUSIVE MODE");
    session_.script("SAVEPOINT lockkeeper_drops");
    dressed.run(cascade ? "DROP TABLE " + names : statement);
    session_.script("ROLLBACK TO SAVEPOINT lockkeeper_drops");
    return true;
  } catch (const Error& error) {
    const bool others = cascade && error.sqlstate() == kDependents;
    if (session_.broken() || !(others || error.sqlstate() == kNoRight)) throw;
    session_.script("ROLLBACK TO SAVEPOINT lockkeeper_asks");
    return false;
  }
}

}  // namespace lockkeeper::workers
