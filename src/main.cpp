#include "cli/run.hpp"

int main(int argc, char** argv) { return lockkeeper::cli::run(argc, argv); }
