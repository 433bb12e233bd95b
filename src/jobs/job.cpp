#include "jobs/job.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace lockkeeper::jobs {

JobState job_state_from(const std::string& label) {
  const auto found = std::find(kJobStateLabels.begin(), kJobStateLabels.end(), label);
  if (found == kJobStateLabels.end()) throw std::logic_error("no job state \"" + label + "\"");
  return static_cast<JobState>(found - kJobStateLabels.begin());
}

std::string to_json(const Report& report) {
  nlohmann::ordered_json json;
  json["sqlstate"] = report.sqlstate.empty() ? "XX000" : report.sqlstate;
  json["message"] = report.message;
  if (!report.detail.empty()) json["detail"] = report.detail;
  if (!report.hint.empty()) json["hint"] = report.hint;
  if (!report.context.empty()) json["context"] = report.context;
  if (report.position > 0) json["position"] = report.position;
  if (!report.statement.empty()) json["statement"] = report.statement;
  if (!report.waits_for.empty()) {
    json["waits_for"] = report.waits_for;
    json["held_seconds"] = report.held_seconds;
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Report report_from_json(const std::string& text) {
  Report report;
  if (text.empty()) return report;
  const auto json = nlohmann::json::parse(text);
  report.sqlstate = json.value("sqlstate", "");
  report.message = json.value("message", "");
  report.detail = json.value("detail", "");
  report.hint = json.value("hint", "");
  report.context = json.value("context", "");
  report.position = json.value("position", 0);
  report.statement = json.value("statement", "");
  return report;
}

}  // namespace lockkeeper::jobs
