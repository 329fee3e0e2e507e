// The only C++ here: hands the tables of bench.h to Google Benchmark, prints one line per benchmark, and exits with 1
// when a benchmark found its work undone. --smoke runs each once with few events, for the tests.
#include "bench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kSmokeDivisor = 1000;
bool some_failed = false;

void run_case(benchmark::State &state, const bench_case &bench, bool smoke) {
    for (auto _ : state) {
        bench_result result = {};
        bench.measure(smoke ? bench.events / kSmokeDivisor : bench.events, &result);
        if (result.failure[0] != '\0') {
            if (!result.skipped) some_failed = true;
            state.SkipWithError(result.failure);
            return;
        }
        state.SetIterationTime(result.event_ns / 1e9);
        if (result.extra_name != nullptr) state.counters[result.extra_name] = result.extra;
        if (result.line_hop_ns > 0) state.counters["line_hop_ns"] = result.line_hop_ns;
    }
}

struct Table {
    const bench_case *cases;
    int most_repetitions;
};

// Of what takes seconds to set up three repetitions are enough: each is many measurements, or none is longer.
constexpr int kAsked = INT_MAX;
constexpr int kFew = 3;

const Table tables[] = {
    {bench_line_hop_cases, kAsked},
    {bench_publish_cases, kAsked},
    {bench_publish_producers_cases, kAsked},
    {bench_publish_size_cases, kAsked},
    {bench_publish_sessions_cases, kAsked},
    {bench_publish_million_cases, kFew},
    {bench_publish_sleeper_cases, kAsked},
    {bench_bare_live_cases, kAsked},
    {bench_live_hop_cases, kAsked},
    {bench_live_latency_cases, kAsked},
    {bench_wake_latency_cases, kFew},
    {bench_replay_cases, kAsked},
    {bench_replay_overwritten_cases, kAsked},
    {bench_attach_cases, kAsked},
    {bench_registry_cases, kAsked},
    {bench_channel_cases, kAsked},
    {bench_channel_10000_cases, kFew},
    {bench_lookup_cases, kFew},
    {bench_baseline_cases, kAsked},
    {bench_vyukov_cases, kAsked},
    {bench_vyukov_list_cases, kAsked},
    {bench_ck_ring_cases, kAsked},
#ifdef WEIR_BENCH_WIRE
    {bench_render_cases, kAsked},
    {bench_request_cases, kAsked},
#endif
};

void register_cases(const Table &table, int repetitions, bool smoke) {
    for (const bench_case *bench = table.cases; bench->name != nullptr; bench++) {
        auto run = [bench, smoke](benchmark::State &state) { run_case(state, *bench, smoke); };
        benchmark::RegisterBenchmark(bench->name, run)
            ->Iterations(1)
            ->Repetitions(std::min(repetitions, table.most_repetitions))
            ->UseManualTime()
            ->ComputeStatistics("min",
                                [](const std::vector<double> &v) { return *std::min_element(v.begin(), v.end()); })
            ->ComputeStatistics("max",
                                [](const std::vector<double> &v) { return *std::max_element(v.begin(), v.end()); });
    }
}

// The library appends how it ran a benchmark to its name; ours are all run alike, and the bare name is what scripts
// look for.
benchmark::BenchmarkReporter::Run with_bare_name(benchmark::BenchmarkReporter::Run run) {
    benchmark::BenchmarkName bare;
    bare.function_name = run.run_name.function_name;
    run.run_name = bare;
    return run;
}

class JsonReporter : public benchmark::JSONReporter {
  public:
    void ReportRuns(const std::vector<Run> &runs) override {
        std::vector<Run> bare;
        for (const Run &run : runs) {
            bare.push_back(with_bare_name(run));
        }
        benchmark::JSONReporter::ReportRuns(bare);
    }
};

// One line per benchmark: the median, the extremes, and the line hop where two cores took part.
class TableReporter : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context &) override {
        std::printf("%-34s %10s %10s %10s %14s\n", "ns per event", "median", "min", "max", "line hop");
        return true;
    }

    void ReportRuns(const std::vector<Run> &runs) override {
        std::map<std::string, const Run *> by_kind;
        for (const Run &run : runs) {
            if (run.error_occurred) {
                std::printf("%-34s %s\n", run.run_name.function_name.c_str(), run.error_message.c_str());
                return;
            }
            by_kind[run.run_type == Run::RT_Aggregate ? run.aggregate_name : "single"] = &run;
        }
        if (by_kind.count("median") != 0) {
            print_row(*by_kind["median"], *by_kind["min"], *by_kind["max"]);
        } else if (runs.size() == 1 && runs[0].repetitions <= 1) {
            print_row(runs[0], runs[0], runs[0]);
        }
        std::fflush(stdout);
    }

  private:
    static void print_row(const Run &median, const Run &min, const Run &max) {
        std::printf("%-34s %10.2f %10.2f %10.2f", median.run_name.function_name.c_str(), median.GetAdjustedRealTime(),
                    min.GetAdjustedRealTime(), max.GetAdjustedRealTime());
        auto hop = median.counters.find("line_hop_ns");
        if (hop != median.counters.end()) std::printf(" %14.1f", static_cast<double>(hop->second));
        std::printf("\n");
    }
};

} // namespace

extern "C" void bench_fail(bench_result *result, const char *format, ...) {
    if (result->failure[0] != '\0') return;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(result->failure, sizeof result->failure, format, arguments);
    va_end(arguments);
}

int main(int argc, char **argv) {
    // Seven repetitions, those of all benchmarks interleaved at random, so that a change of the machine's state while
    // they run does not fall on one benchmark alone. What the user gives comes later and wins.
    std::vector<std::string> words = {argv[0], "--benchmark_enable_random_interleaving=true",
                                      "--benchmark_display_aggregates_only=true"};
    const char repetitions_option[] = "--benchmark_repetitions=";
    int repetitions = 7;
    bool smoke = false;
    bool to_file = false;
    for (int i = 1; i < argc; i++) {
        if (std::strcmp(argv[i], "--smoke") == 0) {
            smoke = true;
        } else if (std::strncmp(argv[i], repetitions_option, sizeof repetitions_option - 1) == 0) {
            repetitions = std::max(1, std::atoi(argv[i] + sizeof repetitions_option - 1));
        } else {
            words.push_back(argv[i]);
        }
        if (std::strncmp(argv[i], "--benchmark_out=", 16) == 0) to_file = true;
    }
    if (smoke) repetitions = 1;

    std::vector<char *> arguments;
    for (std::string &word : words) {
        arguments.push_back(word.data());
    }
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

    for (const Table &table : tables) {
        register_cases(table, repetitions, smoke);
    }
    TableReporter lines;
    JsonReporter json;
    size_t ran =
        to_file ? benchmark::RunSpecifiedBenchmarks(&lines, &json) : benchmark::RunSpecifiedBenchmarks(&lines);
    benchmark::Shutdown();
    if (some_failed) std::fprintf(stderr, "bench: a benchmark found its work undone\n");
    return ran == 0 || some_failed ? 1 : 0;
}
