#include "trash/trash.hpp"

#include <charconv>
#include <set>

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

std::vector<Purged> purged_from(const pg::Rows& rows) {
  std::vector<Purged> purged;
  for (const auto row : rows)
    purged.push_back({row.integer("id"), row.null("name") ? "" : row.text("name"),
                      row.null("problem") ? "" : row.text("problem"), row.boolean("later")});
  return purged;
}

}  // namespace

std::string why_not(pg::Session& session, const std::vector<std::string>& oids, Asker asker) {
  for (const auto row : session.run(sql::trash_standing, pg::Params::of(nlohmann::json(oids).dump(),
                                                                        asker == Asker::worker)))
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
  const auto ids = array_of(items, [](std::int64_t id) { return std::to_string(id); });
  const auto rows =
      items.empty()
          ? session.run(sql::trash_purge_due, pg::Params::of(kAtOnceMost))
          : session.run(sql::trash_purge, pg::Params::of(ids, static_cast<int>(items.size())));
  return purged_from(rows);
}

std::vector<Purged> purge_in_the_way(pg::Session& session, std::int64_t job, std::int64_t epoch,
                                     const std::vector<std::int64_t>& items) {
  const auto ids = array_of(items, [](std::int64_t id) { return std::to_string(id); });
  return purged_from(session.run(sql::trash_purge_in_the_way, pg::Params::of(job, epoch, ids)));
}

std::vector<std::int64_t> named_in(const std::string& text) {
  static const std::string kPrefix = "lockkeeper_trash_";
  std::set<std::int64_t> items;
  for (auto at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at)) {
    at += kPrefix.size();
    std::int64_t id = 0;
    const auto [end, problem] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    if (problem == std::errc()) items.insert(id);
  }
  return {items.begin(), items.end()};
}

}  // namespace lockkeeper::trash
