#include "jobs/view.hpp"

#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

std::vector<Json> objects(const pg::Rows& rows) {
  std::vector<Json> result;
  for (const auto row : rows) result.push_back(Json::parse(row.text("job")));
  return result;
}

}  // namespace

std::vector<Json> list(pg::Session& session, int limit) {
  return objects(session.run(sql::jobs_list, pg::Params::of(limit)));
}

std::vector<Json> history(pg::Session& session, int limit) {
  return objects(session.run(sql::jobs_history, pg::Params::of(limit)));
}

std::optional<Json> show(pg::Session& session, JobId job) {
  auto found = objects(session.run(sql::jobs_show, pg::Params::of(job)));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::vector<Json> states(pg::Session& session, const std::vector<JobId>& ids) {
  auto wanted = Json::array();
  for (const auto& id : ids) wanted.push_back(id.value);
  return objects(session.run(sql::jobs_states, pg::Params::of(wanted.dump())));
}

}  // namespace lockkeeper::jobs
