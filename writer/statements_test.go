package writer_test

import (
	"testing"

	"github.com/nsqloop/nsqloop/internal/checklist"
)

// The statements about writers, 86 to 122, and about discovery and reconnecting,
// 180 to 204, that NSQ's clients were found to share, by number, and the tests
// that show them, as room.Test. Of discovery the poller is shared with readers,
// and so are its tests. Statements that are not true here on purpose are in
// differently.
var shown = map[int]string{
	86:  "writer.TestNew_Names writer.TestWriter_Redials",
	88:  "writer.TestWriter_FailFast",
	90:  "writer.TestWriter_ReportsEachPublish writer.TestWriter_SyncCalls",
	91:  "writer.TestWriter_Commands",
	92:  "writer.TestWriter_ReportsEachPublish",
	93:  "writer.TestWriter_NilDone",
	94:  "writer.TestWriter_UnknownWhenTheConnectionBreaks",
	95:  "writer.TestWriter_FailFast",
	96:  "writer.TestWriter_PublishesWaitForTheConnection",
	97:  "writer.TestWriter_RejectsBeforeWriting",
	99:  "writer.TestWriter_RejectsBeforeWriting",
	100: "writer.TestWriter_RejectsBeforeWriting",
	101: "writer.TestWriter_RejectsBeforeWriting client.TestCheckTopic_Names",
	102: "writer.TestWriter_PublishesWaitForTheConnection writer.TestWriter_Close",
	103: "writer.TestWriter_WaitReady",
	104: "writer.TestWriter_ReportsEachPublish interop.TestWriter_EveryWayToPublish",
	105: "writer.TestWriter_Commands interop.TestWriter_EveryWayToPublish",
	106: "writer.TestWriter_ReportsEachPublish",
	107: "writer.TestWriter_Commands",
	108: "writer.TestWriter_HopelessAddresses writer.TestWriter_HeartbeatsConsumeNoCallback",
	109: "writer.TestWriter_HeartbeatsConsumeNoCallback",
	110: "writer.TestWriter_HopelessAddresses",
	111: "writer.TestWriter_Commands writer.TestWriter_RejectsBeforeWriting client.TestCheckDelay_Bounds",
	112: "interop.TestWriter_EveryWayToPublish server.TestPublish_DeferredIsDeliveredWhenDue",
	113: "writer.TestWriter_SharesOverNSQDs writer.TestPolicy_DeadOnesCostNothing",
	114: "writer.TestWriter_Failover writer.TestRetry_BehindARejectedPublish writer.TestWriter_Simulation",
	115: "writer.TestWriter_UnknownWhenTheConnectionBreaks",
	116: "writer.TestWriter_FatalErrorInAPipeline",
	117: "writer.TestWriter_RejectsBeforeWriting writer.TestJSON_Publishes",
	118: "writer.TestWriter_Redials writer.TestWriter_UnknownWhenTheConnectionBreaks",
	119: "writer.TestWriter_ShutdownDrains writer.TestWriter_ShutdownIsCutOff writer.TestWriter_ShutdownReports",
	120: "writer.TestWriter_SurvivesPanickingCallbacks writer.TestWriter_FailingInACircle",
	121: "writer.TestWriter_Full writer.TestWriter_SyncWaitsForRoom writer.TestWriter_PublishWait",
	122: "writer.TestWriter_ManyGoroutines",

	180: "writer.TestWriter_FindsServersThroughLookupd reader.TestReader_FindsThroughLookupd_180_183_188_190",
	181: "writer.TestWriter_FindsThroughLookupd lookup.TestServer_Request_181_188",
	182: "writer.TestWriter_UnionOfLookupds lookup.TestServer_Ask_182_183_187",
	183: "writer.TestWriter_FindsThroughLookupd lookup.TestServer_Ask_182_183_187",
	184: "lookup.TestParse_Notations_178_179_184_189 lookup.TestPoller_UnionHoldsWhileOneFails_184_185_186_195",
	185: "writer.TestWriter_UnionOfLookupds lookup.TestPoller_UnionHoldsWhileOneFails_184_185_186_195",
	186: "writer.TestWriter_UnionOfLookupds lookup.TestPoller_UnionHoldsWhileOneFails_184_185_186_195",
	187: "lookup.TestServer_Ask_182_183_187",
	188: "lookup.TestServer_Request_181_188",
	189: "lookup.TestParse_Notations_178_179_184_189 writer.TestNew_ChecksOptions",
	190: "writer.TestWriter_FindsThroughLookupd reader.TestReader_PollTimes_190_191",
	191: "reader.TestReader_PollTimes_190_191 reader.TestReader_NoJitter_191",
	192: "writer.TestWriter_FindsThroughLookupd reader.TestReader_NodesComeAndGo_192_193_195",
	193: "writer.TestWriter_UnionOfLookupds",
	194: "writer.TestWriter_LookupAfterLossAndFilter reader.TestReader_LostNodeIsPolledForAndRedialled_194",
	195: "writer.TestWriter_UnionOfLookupds lookup.TestPoller_UnionHoldsWhileOneFails_184_185_186_195",
	196: "writer.TestWriter_Redials writer.TestWriter_RedialsSoonWhileTheOutageIsYoung",
	197: "writer.TestWriter_PublishesWaitForTheConnection reader.TestReader_DirectNodeThatIsDownAtTheStart_197",
	198: "writer.TestWriter_UnionOfLookupds",
	199: "writer.TestWriter_PublishesWaitForTheConnection reader.TestReader_NamesAreResolvedOnEachDial_199",
	200: "writer.TestWriter_LookupAfterLossAndFilter",
	201: "writer.TestPolicy_DeadOnesCostNothing reader.TestReader_OneSlowDialDelaysNoOther_201",
	202: "writer.TestWriter_ChangesLookupds",
	204: "reader.TestReader_AddAndRemoveLookupd_202_204",
}

// differently are the statements that are not true here, with what is instead.
var differently = map[int]string{
	87:  "options are fields, so one that is unknown does not compile; the names that NSQ's clients give them are client.Options.Set's, which client.TestOptions_SetRefuses shows",
	89:  "the compiler refuses a single body where several are wanted, and a multi-publish of one body is an MPUB of one",
	98:  "a body is bytes, and Go knows no text that is not",
	203: "a Writer has no handlers",
}

// rulings are what this package decides where NSQ's clients differ from each
// other, and the defects of theirs that it must not have, with the tests.
var rulings = map[string]string{
	"reconnect: growing delays with jitter":                        "writer.TestWriter_Redials",
	"after a loss nsqlookupd is asked at once":                     "writer.TestWriter_LookupAfterLossAndFilter",
	"all nsqlookupds are asked each time":                          "writer.TestWriter_UnionOfLookupds",
	"the first dial is tried again":                                "writer.TestWriter_PublishesWaitForTheConnection",
	"a refused TLS is a failure":                                   "writer.TestWriter_RefusedTLSEndsPublishes",
	"the handshake has a deadline":                                 "client.TestConn_HandshakeDeadline",
	"publishing while down waits, bounded, or fails, by option":    "writer.TestWriter_PublishesWaitForTheConnection writer.TestWriter_FailFast writer.TestWriter_Full",
	"many nsqds: round robin, sticky, failover":                    "writer.TestWriter_SharesOverNSQDs writer.TestPolicy_Sticky writer.TestPolicy_Nearest",
	"shutdown drains until a context ends":                         "writer.TestWriter_ShutdownDrains writer.TestWriter_ShutdownIsCutOff",
	"defect: a closed connection takes its healthy twin along":     "writer.TestWriter_ChangesAddresses",
	"defect: a redial after close":                                 "writer.TestWriter_NoDialAfterClose",
	"defect: a callback that is called twice":                      "writer.TestWriter_RejectsBeforeWriting writer.TestWriter_Simulation",
	"defect: an empty body desynchronises the stream":              "writer.TestWriter_RejectsBeforeWriting",
	"defect: IPv6 addresses are split at their colons":             "client.TestCheckAddr_Notations client.TestConn_OverIPv6",
	"defect: the user's chan blocks all":                           "writer.TestWriter_FailingInACircle writer.TestWriter_ManyGoroutines",
	"defect: stopping races with reconnecting":                     "writer.TestWriter_NoDialAfterClose writer.TestWriter_LoopEnds",
	"defect: only the first pending callback gets the real error":  "writer.TestWriter_FatalErrorInAPipeline writer.TestWriter_UnknownWhenTheConnectionBreaks",
	"defect: a deferred publish wants a list":                      "writer.TestWriter_Commands",
	"defect: named nsqds are not redialled when lookupd is in use": "writer.TestWriter_UnionOfLookupds",
	"defect: unsent and unanswered are reported alike":             "writer.TestWriter_Deadlines writer.TestWriter_Window",
}

func TestStatements_EachHasATest(t *testing.T) {
	checklist.List{Spans: [][2]int{{86, 122}, {180, 204}}, Shown: shown, Differently: differently, Rulings: rulings}.Check(t, "..")
}
