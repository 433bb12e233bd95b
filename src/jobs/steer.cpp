#include "jobs/steer.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "sql/queries.hpp"

namespace lockkeeper::jobs {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 4> kVerbs = {"cancel", "pause", "resume", "retry"};

Json json_of(const Which& which) {
  if (which.all) return {{"all", true}};
  if (which.batch) return {{"batch", *which.batch}};
  if (which.action) return {{"action", *which.action}};
  Json ids = Json::array();
  for (const auto& id : which.ids) ids.push_back(id.value);
  return {{"ids", ids}};
}

}  // namespace

std::vector<Steered> steer(pg::Session& session, Verb verb, const Which& which) {
  std::vector<Steered> steered;
  for (const auto row :
       session.run(sql::jobs_steer,
                   pg::Params::of(kVerbs[static_cast<std::size_t>(verb)], json_of(which).dump())))
    steered.push_back(
        {JobId{row.integer("id")}, row.text("state"), row.boolean("done"), row.text("answer")});
  return steered;
}

std::vector<Steered> cancel_late(pg::Session& session) {
  std::vector<Steered> steered;
  for (const auto row : session.run(sql::jobs_cancel_late))
    steered.push_back({JobId{row.integer("id")}, row.text("state"), true, row.text("answer")});
  return steered;
}

bool is_late(pg::Session& session, JobId job) {
  return session.run(sql::jobs_is_late, pg::Params::of(job)).front().boolean("late");
}

void set(pg::Session& session, const std::string& name, const std::optional<std::string>& value) {
  session.run(sql::jobs_set, pg::Params::of(name, value));
}

Tuning alter(pg::Session& session, JobId job, const Tuning& changes) {
  const auto rows = session.run(sql::jobs_alter, pg::Params::of(job, Json(changes).dump()));
  return Json::parse(rows.front().text("tuning")).get<Tuning>();
}

Tuning tuning_of(pg::Session& session, JobId job) {
  const auto rows = session.run(sql::jobs_tuning, pg::Params::of(job));
  return rows.empty() ? Tuning() : Json::parse(rows.front().text("tuning")).get<Tuning>();
}

int upgrade(pg::Session& session, bool begins) {
  return static_cast<int>(
      session.run(sql::jobs_upgrade, pg::Params::of(begins)).front().integer("moved"));
}

std::optional<EndedJob> ended_job(pg::Session& session, JobId job) {
  const auto rows = session.run(sql::jobs_resubmit, pg::Params::of(job));
  if (rows.empty()) return std::nullopt;
  const auto row = rows.front();
  return EndedJob{row.text("statement"),
                  row.text("state"),
                  {{},
                   row.text("role"),
                   row.text("search_path"),
                   Json::parse(row.text("settings")).get<std::map<std::string, std::string>>()},
                  row.boolean("stripped")};
}

}  // namespace lockkeeper::jobs
