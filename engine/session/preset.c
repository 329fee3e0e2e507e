/* Ready-made configurations: the behaviour of the systems that weir can stand in for (contract 17.2). */
#include <weir.h>

#define ACTIVITY_ALL (WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_DETACH | WEIR_ACTIVE_SEND)

static void sse_registry(weir_config *config) {
    config->first_sequence = WEIR_FROM_ZERO;
    config->absolute_ttl_ms = 0;
    config->rules = (weir_rules){
        .gap_signal = WEIR_GAP_SIGNAL_OFF,
        .ahead = WEIR_AHEAD_EMPTY,
        .full_action = WEIR_POLICY_DETACH,
        .missing = WEIR_MISSING_IGNORE,
        .idle_scope = WEIR_IDLE_DETACHED,
        .activity = ACTIVITY_ALL,
        .token_policy = WEIR_TOKEN_IGNORE,
        .id_form = WEIR_IDS_BARE,
    };
}

static void realtime(weir_config *config) {
    config->replay_capacity = WEIR_NONE;
    config->max_session_channels = 100;
    config->absolute_ttl_ms = 0;
    config->rules = (weir_rules){
        .gap_signal = WEIR_GAP_SIGNAL_OFF,
        .full_action = WEIR_POLICY_REFUSE,
        .full_consecutive_max = 10,
        .full_total_max = 50,
        .closed_action = WEIR_CLOSED_REMOVE,
        .attach_drops_channels = 1,
        .idle_scope = WEIR_IDLE_ALL,
        .activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_SEND,
        .token_policy = WEIR_TOKEN_EVICT,
        .exclusive = WEIR_CHANNELS_MOVE,
    };
}

static void mcp(weir_config *config) {
    config->first_sequence = 1;
    config->replay_capacity = 256;
    config->queue_depth = 256;
    config->idle_ttl_ms = 30 * 60 * 1000;
    config->absolute_ttl_ms = 4 * 60 * 60 * 1000;
    config->sweep_interval_ms = 60 * 1000;
    config->rules = (weir_rules){
        .ahead = WEIR_AHEAD_RESTART,
        .full_action = WEIR_POLICY_SKIP,
        .idle_scope = WEIR_IDLE_ALL,
        .activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_LOOKUP,
        .token_policy = WEIR_TOKEN_IGNORE,
        .heartbeat = WEIR_HEARTBEAT_SEQUENCED,
        .id_mode = WEIR_NAMES_SERVER,
        .id_form = WEIR_IDS_BARE,
        .scope_errors = WEIR_SCOPE_MASK,
    };
}

static void hub(weir_config *config) {
    config->replay_capacity = WEIR_NONE;
    config->queue_depth = 256;
    config->absolute_ttl_ms = 0;
    config->sweep_interval_ms = 5000;
    config->rules = (weir_rules){
        .gap_signal = WEIR_GAP_SIGNAL_OFF,
        .full_action = WEIR_POLICY_REFUSE,
        .closed_action = WEIR_CLOSED_REMOVE,
        .activity = ACTIVITY_ALL | WEIR_ACTIVE_STREAM,
        .token_policy = WEIR_TOKEN_IGNORE,
    };
}

int weir_preset(weir_preset_name preset, weir_config *config) {
    config->size = sizeof(*config);
    switch (preset) {
    case WEIR_PRESET_WEIR:
        config->rules = (weir_rules){.gap_signal = WEIR_GAP_SIGNAL_EVENT};
        return WEIR_OK;
    case WEIR_PRESET_SSE_REGISTRY:
        sse_registry(config);
        return WEIR_OK;
    case WEIR_PRESET_REALTIME:
        realtime(config);
        return WEIR_OK;
    case WEIR_PRESET_MCP:
        mcp(config);
        return WEIR_OK;
    case WEIR_PRESET_HUB:
        hub(config);
        return WEIR_OK;
    }
    return WEIR_INVALID;
}
