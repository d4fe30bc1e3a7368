package reader

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// The statements about readers, 1 to 85, and about backoff, 205 to 236, that
// NSQ's clients were found to share, by number, and the tests that show them, as
// room.Test. Statements that are not true here on purpose are in differently.
var shown = map[int]string{
	1:  "reader.TestOptions_ErrorNamesTheFieldAndTheRule_1_4_203",
	4:  "reader.TestOptions_ErrorNamesTheFieldAndTheRule_1_4_203",
	5:  "reader.TestReader_Logs_5_38",
	6:  "reader.TestReader_BuildingOpensNoSocket_6",
	7:  "reader.TestReader_WireTraces",
	8:  "reader.TestReader_WireTraces",
	9:  "server.TestUpgrade_WriterToReaderSimulated",
	10: "server.TestUpgrade_WriterToReaderSimulated",
	11: "reader.TestReader_PendingAnsweredLater_11_12_16 reader.TestReader_WorkersHandleEveryMessageOnce_11",
	12: "reader.TestReader_PendingAnsweredLater_11_12_16 reader.TestReader_AnswersFromAnyGoroutine_11_12",
	13: "reader.TestReader_HandlerPanics_13_14",
	14: "reader.TestReader_HandlerPanics_13_14",
	15: "reader.TestReader_PendingAnsweredLater_11_12_16",
	16: "reader.TestReader_PendingAnsweredLater_11_12_16 reader.TestReader_AnswersByTheHandler_16_17_19_27",
	17: "reader.TestReader_AnswersByTheHandler_16_17_19_27",
	18: "reader.TestReader_TouchMovesTheDeadline_18_85",
	19: "reader.TestReader_AnswersByTheHandler_16_17_19_27",
	20: "reader.TestReader_Attempts_20_21_24",
	21: "reader.TestReader_Attempts_20_21_24",
	22: "reader.TestReader_FailingMessageIsGivenUp_22",
	23: "reader.TestReader_Attempts_20_21_24",
	24: "reader.TestReader_Attempts_20_21_24",
	25: "reader.TestReader_WireTraces",
	27: "reader.TestReader_ExplicitDelayOfZero_27",
	28: "reader.TestReader_AutomaticRequeueDelay_28_29",
	29: "reader.TestReader_AutomaticRequeueDelay_28_29",
	30: "reader.TestReader_WireTraces",
	31: "reader.TestReady_FirstConnectionGetsOneThenItsShare_31_32",
	32: "reader.TestReady_FirstConnectionGetsOneThenItsShare_31_32 reader.TestReader_WireTraces",
	33: "reader.TestReady_NewConnectionThrottlesOthers_33",
	34: "reader.TestReady_NewConnectionRespectsMaxInFlight_34",
	35: "reader.TestReady_SharesAreEqualAndUseTheRemainder_35_36",
	36: "reader.TestReady_SharesAreEqualAndUseTheRemainder_35_36 reader.TestReady_RemainderIsRotated_36",
	37: "reader.TestReady_Properties_37 reader.TestSimulation",
	38: "reader.TestReady_CountNeverExceedsWhatNSQDAccepts_38 reader.TestReader_Logs_5_38",
	39: "reader.TestReader_OldNSQDAcceptsReadyCountsUpTo2500_39",
	40: "reader.TestReady_UnchangedCountIsNotWritten_40_41",
	41: "reader.TestReady_UnchangedCountIsNotWritten_40_41",
	42: "reader.TestReady_SetMaxInFlight_42",
	43: "reader.TestReady_ZeroMaxStopsEverything_43 reader.TestReader_SetMaxInFlight_43",
	44: "reader.TestReady_BackFromZeroStartsWithOne_44",
	45: "reader.TestReader_PauseAndResume_45_47_48 reader.TestReady_ResumeKeepsWhatWasEarned_45",
	46: "reader.TestReader_PausedReaderGetsNoRequeuedMessage_46",
	47: "reader.TestReader_PauseAndResume_45_47_48",
	48: "reader.TestReader_PauseAndResume_45_47_48",
	49: "reader.TestReady_RaiseWaitsForRoom_49",
	50: "reader.TestReady_IdleConnectionLosesItsSlot_50 reader.TestReady_LivelyConnectionKeepsItsSlot_50",
	51: "reader.TestReady_SlotWithMessageInFlightIsNotGivenAway_51",
	52: "reader.TestReady_SlotsAreNotPinnedToBusyConnections_52",
	53: "reader.TestReady_TwoSlowNodesShareOneSlot_53_54",
	54: "reader.TestReady_TwoSlowNodesShareOneSlot_53_54",
	55: "reader.TestReady_ScarceSlotsAlternate_55",
	56: "reader.TestReady_FromOneConnectionToTwoAndBack_56",
	57: "reader.TestReady_LongMessageKeepsEveryCountAtZero_57",
	58: "reader.TestReady_LostConnectionFreesItsSlot_58",
	59: "reader.TestReady_OthersGrowWhenOneIsLost_59 reader.TestReader_OthersGrowAtOnce_59",
	60: "reader.TestReady_Starved_60",
	61: "reader.TestReader_StarvedBatchesNeverStall_61 reader.TestBatch_FullStarvedOrWaitedLongEnough_61",
	63: "client.TestEvents_Heartbeats",
	64: "reader.TestReader_TwoOnOneLoop_64",
	65: "reader.TestReader_AddressesAreUnique_65_66_78",
	66: "reader.TestReader_AddressesAreUnique_65_66_78",
	67: "reader.TestReader_ConnectionEvents_67_68",
	68: "reader.TestReader_ConnectionEvents_67_68",
	69: "reader.TestReader_CloseDuringConnecting_69",
	70: "reader.TestReader_CloseStopsReconnects_70_75",
	71: "reader.TestReader_CloseBeforeTheLoopRuns_71",
	72: "reader.TestReader_ShutdownInOrder_72 reader.TestReader_ShutdownIsCutOffByItsContext_72 reader.TestReader_ShutdownWaitsForCloseWait_72",
	73: "reader.TestReader_ShutdownGivesBackWhatWasNotStarted_73 reader.TestReader_ShutdownWaitsForWorkersAndReturnsWhatTheyHaveNotStarted_72_73",
	74: "reader.TestReader_ShutdownWithoutConnections_74",
	75: "reader.TestReader_CloseStopsReconnects_70_75",
	76: "reader.TestReader_BlockedHandlerKeepsTheConnection_76",
	77: "reader.TestReader_Attempts_20_21_24 reader.TestReader_WorkersHandleEveryMessageOnce_11",
	78: "reader.TestReader_AddressesAreUnique_65_66_78",
	79: "reader.TestReader_FailedDialIsReportedAndCanBeRemoved_79",
	80: "loop.TestDial_UsesTheDialerAndTheLocalAddress",
	81: "reader.TestReader_AnswerAfterTheConnectionDied_81 reader.TestReader_ConnectionDiesBetweenAnswerAndTurn_81",
	82: "reader.TestReader_RefusedAnswersAreEvents_82_235",
	83: "reader.TestReader_MessageExpiresHere_83 reader.TestReader_DeadlinesAreKeptInOrder_83",
	84: "reader.TestJSON_ParsesOrDiscards_84 reader.TestJSON_SaysWhatDoesNotFit",
	85: "reader.TestReader_TouchMovesTheDeadline_18_85 reader.TestReader_TouchStopsAtTheHardDeadline_85",

	205: "backoff.TestTimer_Parts",
	206: "backoff.TestTimer_SuccessAtZeroStaysThere reader.TestThrottle_Transitions",
	207: "backoff.TestTimer_Vectors reader.TestThrottle_Transitions",
	208: "backoff.TestTimer_PynsqVector",
	209: "backoff.TestTimer_LeavesAfterAsManySuccesses reader.TestThrottle_LeavingTakesAsManySuccessesAsFailures_209",
	210: "backoff.TestTimer_NeverAboveTheMaximum reader.TestThrottle_Properties",
	211: "backoff.TestExponential_Doubles",
	212: "backoff.TestJitter_StaysInItsBoundAndRepeats reader.TestThrottle_FullJitterIsBoundedAndReplays_212",
	213: "backoff.TestStrategy_UnitZeroYieldsZero backoff.TestTimer_NoSpan",
	214: "reader.TestReader_WireTraces",
	216: "reader.TestReader_WireTraces reader.TestThrottle_Transitions",
	217: "reader.TestReader_RandomResults_217",
	218: "reader.TestReader_ManyConnectionsThroughBackoff_218_219 reader.TestReady_IdleProbeMoves_218_230",
	219: "reader.TestReader_ManyConnectionsThroughBackoff_218_219 reader.TestReady_NewConnectionWaitsWhileAnotherProbes_219 reader.TestReady_ProbeOfALostConnectionPassesOn_219",
	220: "reader.TestReader_WireTraces",
	221: "reader.TestReader_WireTraces",
	222: "reader.TestReader_DisconnectDuringBackoff_222",
	223: "reader.TestReady_LeavingBackoffGivesEverybodyTheirShare_223_224_226_227",
	224: "reader.TestReady_LeavingBackoffGivesEverybodyTheirShare_223_224_226_227",
	225: "reader.TestThrottle_Transitions",
	226: "reader.TestReady_LeavingBackoffGivesEverybodyTheirShare_223_224_226_227",
	227: "reader.TestReady_LeavingBackoffGivesEverybodyTheirShare_223_224_226_227",
	228: "reader.TestReady_PauseEndsWithoutBudget_228",
	229: "reader.TestReady_PauseEndsWithoutConnections_229",
	230: "reader.TestReady_IdleProbeMoves_218_230",
	231: "reader.TestReady_MovedProbeWaitsForMessagesInFlight_231",
	232: "reader.TestReader_WireTraces reader.TestThrottle_Strategies",
	233: "reader.TestReader_HeartbeatsNeverTouchBackoff_233",
	234: "reader.TestReader_GiveUpIsNeutral_234",
	235: "reader.TestReader_RefusedAnswersAreEvents_82_235",
	236: "reader.TestReader_BackoffEvents_236",
}

// differently are the statements that are not true here, with what is instead.
var differently = map[int]string{
	2:   "options are fields, so one that is unknown does not compile; the names that NSQ's clients give them are Options.Set's, which refuses others",
	3:   "addresses are a list, and Go's are written as easily with one element",
	26:  "there is no preprocessing: a Handler that needs it does it, or a middleware around it",
	62:  "there is no disabled: Pause and SetMaxInFlight(0) hold ready counts back, and Resume is all it takes to end that",
	215: "what is answered inside a pause is ignored, a success too: the ruling below",
}

// rulings are what this package decides where NSQ's clients differ from each
// other, and the defects of theirs that it must not have, with the tests.
var rulings = map[string]string{
	"five attempts; who is given up is seen":                                 "reader.TestOptions_Defaults reader.TestReader_Logs_5_38",
	"a new connection has 1, then its share":                                 "reader.TestReader_WireTraces",
	"the remainder of max in flight is used, and rotated":                    "reader.TestReady_RemainderIsRotated_36",
	"what is left of a lost connection is used at once":                      "reader.TestReader_OthersGrowAtOnce_59",
	"results inside a pause are ignored":                                     "reader.TestThrottle_Transitions reader.TestThrottle_Properties",
	"backoff is left step by step, or by one success":                        "reader.TestThrottle_LeavingTakesAsManySuccessesAsFailures_209 reader.TestThrottle_Strategies",
	"a message that is given up says nothing":                                "reader.TestReader_GiveUpIsNeutral_234",
	"an error requeues, also of a handler that answers later, unless it has": "reader.TestMessage_AnswerIsAResultThatComesLater reader.TestReader_HandlerPanics_13_14",
	"a second answer has no effect and says so":                              "reader.TestReader_AnswersByTheHandler_16_17_19_27",
	"the automatic delay grows with attempts, to a limit":                    "reader.TestReader_AutomaticRequeueDelay_28_29",
	"named nsqds are redialled with growing delays":                          "reader.TestReader_RedialsSlowDown_196 reader.TestReader_IsBackAfterEachFault",
	"after a loss nsqlookupd is asked at once":                               "reader.TestReader_LostNodeIsPolledForAndRedialled_194",
	"all nsqlookupds are asked each time":                                    "reader.TestReader_UnionOfAllLookupds_182_184_185_186_187",
	"a first dial that fails is tried again, and reported":                   "reader.TestReader_DirectNodeThatIsDownAtTheStart_197 reader.TestReader_FailedDialIsReportedAndCanBeRemoved_79",
	"a refused subscription is reported, and is no storm":                    "reader.TestReader_RefusedSubscription reader.TestReader_RefusedHandshakesBackOff",
	"AUTH is sent when it is asked for, and missed when it is not there":     "client.TestAuth_SentOnlyWhenRequired",
	"a refused TLS is a failure":                                             "client.TestUpgrade_RefusedTLSFailsUnlessAllowed",
	"the handshake has a deadline":                                           "client.TestConn_HandshakeDeadline",
	"reading never waits for handlers":                                       "reader.TestReader_BlockedHandlerKeepsTheConnection_76",
	"shutdown drains until a context ends":                                   "reader.TestReader_ShutdownInOrder_72 reader.TestReader_ShutdownIsCutOffByItsContext_72",
	"defect: a closed connection takes its healthy twin along":               "reader.TestReader_AddressesAreUnique_65_66_78",
	"defect: a redial after close":                                           "reader.TestReader_CloseStopsReconnects_70_75",
	"defect: attempts are signed":                                            "reader.TestReader_Attempts_20_21_24",
	"defect: what is never answered stays in flight":                         "reader.TestReader_MessageExpiresHere_83",
	"defect: IPv6 addresses are split at their colons":                       "client.TestCheckAddr_Notations",
	"defect: a jitter without configuration panics":                          "backoff.TestStrategy_UnitZeroYieldsZero",
	"defect: the bearer option says the opposite":                            "reader.TestReader_LookupdSecret_181",
	"defect: the hint at HTTP depends on an option":                          "client.TestConn_RefusesBadPeers",
	"defect: stopping races with reconnecting":                               "reader.TestReader_CloseStopsReconnects_70_75 reader.TestReader_ManyGoroutinesUseItAtOnce",
	"defect: a timer for each message":                                       "reader.TestReader_AnswersCostNoAllocation",
	"defect: named nsqds are not redialled when lookupd is in use":           "reader.TestReader_MixedOrigins_198",
}

func TestStatements_EachHasATest(t *testing.T) {
	there := testNames(t)
	check := func(what any, names string) {
		t.Helper()
		if names == "" {
			t.Errorf("%v: no test", what)
		}
		for _, name := range strings.Fields(names) {
			if !there[name] {
				t.Errorf("%v: there is no test %s", what, name)
			}
		}
	}
	numbers := 0
	for _, span := range [][2]int{{1, 85}, {205, 236}} {
		for n := span[0]; n <= span[1]; n++ {
			numbers++
			if (shown[n] == "") == (differently[n] == "") {
				t.Errorf("statement %d: shown by %q, differently %q; want one of them", n, shown[n], differently[n])
			}
		}
	}
	if got := len(shown) + len(differently); got != numbers {
		t.Errorf("%d statements, want %d", got, numbers)
	}
	for n, names := range shown {
		check(n, names)
	}
	for what, names := range rulings {
		check(what, names)
	}
}

// testNames are the tests of the repository, each as room.Test, where a room is
// the last element of its directory.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	there := map[string]bool{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		src, err := fs.ReadFile(root, name)
		for _, found := range declared.FindAllSubmatch(src, -1) {
			there[path.Base(path.Dir(name))+"."+string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
