#include "trash/trash.hpp"

#include "sql/queries.hpp"

namespace lockkeeper::trash {
namespace {

// Dropping a large table takes its time, and the caller has other things to do.
constexpr int kAtOnceMost = 10;

template <typename Items, typename Text>
std::string array_of(const Items& items, const Text& text) {
  std::string array = "{";
  for (const auto& item : items) array += (array.size() > 1 ? "," : "") + text(item);
  return array + "}";
}

}  // namespace

std::string why_not(pg::Session& session, const std::vector<std::string>& oids) {
  for (const auto row :
       session.run(sql::trash_standing, pg::Params::of(nlohmann::json(oids).dump())))
    if (!row.null("reason")) return row.text("reason");
  return {};
}

std::string put_text(std::int64_t job, const std::vector<std::string>& oids) {
  return "SELECT lockkeeper.put_in_trash(" + std::to_string(job) + ", '" +
         array_of(oids, [](const std::string& oid) { return oid; }) + "');";
}

std::vector<nlohmann::ordered_json> list(pg::Session& session) {
  std::vector<nlohmann::ordered_json> items;
  for (const auto row : session.run(sql::trash_list))
    items.push_back(nlohmann::ordered_json::parse(row.text("item")));
  return items;
}

std::vector<std::string> restore_statements(pg::Session& session, std::int64_t item) {
  std::vector<std::string> statements;
  for (const auto row : session.run(sql::trash_restore, pg::Params::of(item)))
    statements.push_back(row.text("statement"));
  return statements;
}

std::vector<Purged> purge(pg::Session& session, const std::vector<std::int64_t>& items) {
  const int most = items.empty() ? kAtOnceMost : static_cast<int>(items.size());
  const auto ids = array_of(items, [](std::int64_t id) { return std::to_string(id); });
  std::vector<Purged> purged;
  for (const auto row : session.run(sql::trash_purge, pg::Params::of(ids, most)))
    purged.push_back({row.integer("id"), row.null("name") ? "" : row.text("name"),
                      row.null("problem") ? "" : row.text("problem")});
  return purged;
}

}  // namespace lockkeeper::trash
