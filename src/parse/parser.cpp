#include "parse/parser.hpp"

#include "parse/classify.hpp"
#include "parse/tree.hpp"

namespace lockkeeper::parse {
namespace {

[[noreturn]] void refuse(const std::string& message, const std::string& hint, int position,
                         const std::string& text, const std::string& source) {
  Report report;
  report.sqlstate = "0A000";
  report.message = message;
  report.hint = hint;
  report.position = position;
  throw InputError(report, text, source);
}

}  // namespace

int grammar() { return grammar_version(); }

std::vector<Statement> parse(const std::string& text, const std::string& source) {
  std::vector<Statement> statements;
  for (const auto& raw : parse_tree(text, source))
    statements.push_back(classify(raw, text, source));
  return statements;
}

Unit parse_one(const std::string& text) {
  auto statements = parse(text);
  if (statements.empty()) refuse("there is no statement in the text", "", 0, text, {});
  if (statements.size() > 1)
    refuse("more than one statement", "submit takes one; use \"lockkeeper apply\" for several",
           statements[1].position, text, {});
  const auto action = statements[0].action;
  const auto position = statements[0].position;
  auto units = units_of(std::move(statements), text);
  if (units.empty())
    refuse(
        action + " alone has no effect outside of its session",
        "put it into a file, before the statements that rely on it, and use \"lockkeeper apply\"",
        position, text, {});
  return units.front();
}

std::vector<Statement> statements_or_none(const std::string& text) {
  try {
    return parse(text);
  } catch (const InputError&) {
    return {};
  }
}

std::vector<Unit> barriers(const std::string& text, const std::string& source) {
  std::vector<Unit> units;
  for (const auto& raw : split_only(text, source)) {
    // What the grammar knows is refused here as it would be otherwise.
    try {
      (void)parse(raw.text);
    } catch (const InputError& error) {
      Report report = error.report();
      if (report.sqlstate != "42601") {
        if (report.position > 0) report.position += raw.position - 1;
        throw InputError(report, text, source);
      }
    }
    Statement statement;
    statement.text = raw.text;
    statement.position = raw.position;
    statement.action = "barrier";
    statement.opaque = true;
    statement.refs.push_back({"database", {}, {}, true, false});
    Unit unit;
    unit.statements.push_back(statement);
    unit.action = "barrier";
    unit.opaque = unit.unparsed = unit.changes_schema = true;
    unit.paths.emplace_back();
    units.push_back(std::move(unit));
  }
  if (units.empty()) throw InputError("there is no statement in the text");
  return units;
}

}  // namespace lockkeeper::parse
