#include "jobs/view.hpp"

#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

std::vector<Json> objects(const pg::Rows& rows, const char* column = "job") {
  std::vector<Json> result;
  for (const auto row : rows) result.push_back(Json::parse(row.text(column)));
  return result;
}

}  // namespace

std::vector<Json> list(pg::Session& session, int limit, const std::string& state) {
  return objects(session.run(sql::jobs_list, pg::Params::of(limit, state)));
}

std::vector<Json> history(pg::Session& session, const Json& wanted, int limit) {
  return objects(session.run(sql::jobs_history, pg::Params::of(wanted.dump(), limit)));
}

std::vector<Json> statistics(pg::Session& session) {
  return objects(session.run(sql::jobs_statistics));
}

std::vector<GraphNode> graph(pg::Session& session, int limit) {
  std::vector<GraphNode> nodes;
  for (const auto row : session.run(sql::jobs_graph, pg::Params::of(limit))) {
    const JobId id{row.integer("id")};
    if (nodes.empty() || nodes.back().id != id)
      nodes.push_back({id, row.text("state"), row.text("action"), row.text("statement"), {}});
    if (!row.null("waits_for"))
      nodes.back().waits_for.emplace_back(JobId{row.integer("waits_for")}, row.text("object"));
  }
  return nodes;
}

std::vector<Json> holders(pg::Session& session) {
  return objects(session.run(sql::jobs_holders), "holder");
}

void confirm(pg::Session& session) { session.run(sql::jobs_confirm); }

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
