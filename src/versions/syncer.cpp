#include "versions/syncer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sql/queries.hpp"

namespace lockkeeper::versions {
namespace {

constexpr const char* kRelation = "relation:";

std::string array_of(const std::vector<Pending>& waits, std::int64_t (*number)(const Pending&)) {
  std::string array = "{";
  for (const auto& wait : waits)
    array += (array.size() > 1 ? "," : "") + std::to_string(number(wait));
  return array + "}";
}

// Is it this relation, its schema, or the whole database?
bool concerns(const std::string& object, const std::string& relation) {
  if (object == "database" || object == kRelation + relation) return true;
  if (object.rfind("schema:", 0) != 0) return false;
  return relation.rfind(object.substr(7) + ".", 0) == 0;
}

Affected affected_from(const nlohmann::json& json) {
  return {json.value("old", ""), json.value("new", ""), json.value("old_oid", std::int64_t{0}),
          json.value("new_oid", std::int64_t{0})};
}

}  // namespace

bool SchemaDiff::touches(const std::string& relation) const {
  return std::any_of(affected.begin(), affected.end(), [&](const Affected& one) {
    return concerns(one.old_name, relation) || concerns(one.new_name, relation);
  });
}

bool Pending::touches(const std::string& relation) const {
  return std::any_of(objects.begin(), objects.end(),
                     [&](const std::string& object) { return concerns(object, relation); });
}

Syncer::Syncer(pg::Session& session) : session_(session) { session_.listen(kVersionChannel); }

std::int64_t Syncer::init(const std::string& name, std::chrono::milliseconds lease) {
  const auto row = session_.run(sql::versions_register,
                                pg::Params::of(name, static_cast<std::int64_t>(lease.count())));
  node_ = row.front().integer("node");
  return must_get_global_version();
}

std::int64_t Syncer::restart(std::int64_t node) {
  node_ = node;
  return heartbeat();
}

std::int64_t Syncer::heartbeat() {
  return session_.run(sql::versions_heartbeat, pg::Params::of(node_)).front().integer("version");
}

std::vector<Pending> Syncer::update_self_version(std::int64_t version, bool is_free) {
  std::vector<Pending> waits;
  for (const auto row : session_.run(sql::versions_sync, pg::Params::of(node_, version, is_free)))
    waits.push_back({JobId{row.integer("job_id")}, row.integer("version"),
                     nlohmann::json::parse(row.text("objects")).get<std::vector<std::string>>()});
  return waits;
}

void Syncer::acknowledge(const std::vector<Pending>& waits) {
  if (waits.empty()) return;
  session_.run(
      sql::versions_acknowledge,
      pg::Params::of(node_, array_of(waits, [](const Pending& wait) { return wait.job.value; }),
                     array_of(waits, [](const Pending& wait) { return wait.version; })));
}

void Syncer::remove_self() {
  session_.run(sql::versions_remove, pg::Params::of(node_));
  node_ = 0;
}

std::int64_t Syncer::must_get_global_version() {
  return session_.run(sql::versions_schema_version).front().integer("version");
}

std::vector<SchemaDiff> Syncer::changes_since(std::int64_t version) {
  std::vector<SchemaDiff> diffs;
  for (const auto row : session_.run(sql::versions_changes_since, pg::Params::of(version))) {
    SchemaDiff diff{row.integer("version"), JobId{row.integer("job_id")}, row.text("action"),
                    row.text("state_from"), row.text("state_to"),         {}};
    for (const auto& one : nlohmann::json::parse(row.text("affected")))
      diff.affected.push_back(affected_from(one));
    diffs.push_back(std::move(diff));
  }
  return diffs;
}

}  // namespace lockkeeper::versions
