// doctor.
#include <algorithm>
#include <iostream>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "service/doctor.hpp"

namespace lockkeeper::cli {
namespace {

using service::Level;

// Workers of both pools as they are by default, and the control.
constexpr int kSessions = 8 + 2 + 1;

void print(const std::vector<service::Finding>& findings) {
  std::size_t width = 0;
  for (const auto& finding : findings) width = std::max(width, finding.subject.size());
  for (const auto& finding : findings) {
    std::string level = to_string(finding.level);
    level.resize(9, ' ');
    std::string subject = finding.subject;
    subject.resize(width + 2, ' ');
    std::cout << level << subject << finding.text << '\n';
    if (!finding.mend.empty())
      std::cout << std::string(level.size() + subject.size(), ' ') << "-> " << finding.mend << '\n';
  }
}

int doctor(Context& context) {
  const auto findings = service::examine(context.connection(), kSessions);
  const auto count = [&](Level level) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const auto& finding) { return finding.level == level; });
  };
  if (context.json) {
    Json all = Json::array();
    for (const auto& finding : findings)
      all.push_back({{"subject", finding.subject},
                     {"level", to_string(finding.level)},
                     {"finding", finding.text},
                     {"mend", finding.mend.empty() ? Json(nullptr) : Json(finding.mend)}});
    print_json(all);
  } else {
    print(findings);
    const auto problems = count(Level::problem);
    std::cout << (problems == 0 ? std::string("no problems")
                                : std::to_string(problems) + " to be mended")
              << ", " << count(Level::warning) << " warnings" << std::endl;
  }
  return count(Level::problem) == 0 ? kDone : kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "doctor", "Say what is wrong or missing, and how to mend it",
                  "lockkeeper doctor --dsn postgresql://owner@host/shop");
  add_json_option(*command, context);
  command->callback([&context] { context.action = [&context] { return doctor(context); }; });
}

}  // namespace lockkeeper::cli
