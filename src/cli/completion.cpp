// completion: scripts for bash and zsh, made from the commands themselves, so never out of date.
#include <iostream>
#include <memory>
#include <set>

#include "cli/command.hpp"

namespace lockkeeper::cli {
namespace {

std::string options_of(const CLI::App& command) {
  std::string words;
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  return words;
}

// What a command takes besides options: files, job ids (of the queue as it is), or words.
std::string words_for(const std::string& command) {
  static const std::set<std::string> kFiles = {"apply", "plan", "config"};
  static const std::set<std::string> kJobs = {"show",  "watch", "cancel",  "pause",   "resume",
                                              "retry", "alter", "cutover", "blockers"};
  if (kFiles.count(command) != 0) return "COMPREPLY=($(compgen -f -- \"$word\"))";
  if (kJobs.count(command) != 0)
    return "COMPREPLY=($(compgen -W \"$(lockkeeper jobs 2>/dev/null | awk '$1 ~ /^[0-9]+$/ {print "
           "$1}')\" -- \"$word\"))";
  const std::string fixed = command == "upgrade"      ? "begin end"
                            : command == "completion" ? "bash zsh"
                                                      : "";
  return fixed.empty() ? ":" : "COMPREPLY=($(compgen -W \"" + fixed + "\" -- \"$word\"))";
}

std::string bash_script(const CLI::App& app) {
  std::string names;
  std::string cases;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += "    " + command->get_name() + ") words=\"" + options_of(*command) +
             "\"; case \"$word\" in -*) ;; *) " + words_for(command->get_name()) + " ;; esac ;;\n";
  }
  return "_lockkeeper() {\n"
         "  local word=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\" command=\"${COMP_WORDS[1]}\"\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    COMPREPLY=($(compgen -W \"" +
         names +
         " --help --version\" -- \"$word\")); return\n"
         "  fi\n"
         "  case \"$command\" in\n" +
         cases +
         "  esac\n"
         "  case \"$word\" in\n"
         "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _lockkeeper lockkeeper\n";
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for bash or zsh");
  command->footer("Example:\n  source <(lockkeeper completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command->callback([&app, &context, shell] {
    context.action = [&app, shell] {
      // zsh runs bash completions through its own emulation.
      if (*shell == "zsh") std::cout << "autoload -U +X bashcompinit && bashcompinit\n";
      std::cout << bash_script(app) << std::flush;
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
