package client_test

import (
	"testing"

	"github.com/nsqloop/nsqloop/internal/checklist"
)

// The statements about a connection that NSQ's clients were found to share, by
// number, and the tests that show them here, as room.Test. Statements that are
// not true here on purpose are in differently.
var shown = map[int]string{
	123: "client.TestConn_Life",
	124: "client.TestConn_Life client.TestConn_OpensWithMagicAndIdentify client.TestEvents_InOrder",
	126: "client.TestConn_AnySplitGivesTheSameEvents client.TestConn_RefusesBadPeers",
	127: "client.TestConn_AnySplitGivesTheSameEvents reader.TestReader_HandlerPanics_13_14",
	128: "client.TestConn_OpensWithMagicAndIdentify",
	129: "client.TestConn_IdentifyReply",
	130: "client.TestConn_IdentifyReply",
	131: "client.TestConn_Life",
	132: "client.TestConn_Life",
	133: "client.TestEvents_Carry",
	134: "client.TestUpgrade_Permutations",
	135: "client.TestUpgrade_Permutations",
	136: "client.TestUpgrade_Permutations",
	137: "client.TestConn_Life",
	138: "server.TestDelivery_ReadyCountIsACeiling",
	139: "client.TestUpgrade_Permutations interop.TestGoNSQ_Upgrades",
	140: "client.TestUpgrade_Permutations",
	141: "client.TestUpgrade_Permutations",
	142: "client.TestUpgrade_Permutations",
	143: "client.TestConn_AnySplitGivesTheSameEvents wire.TestReadFrame_SplitAnywhere",
	144: "client.TestConn_AnySplitGivesTheSameEvents",
	145: "client.TestConn_RefusesBadPeers wire.TestReadFrame_Refuses",
	146: "client.TestConn_RefusesBadPeers",
	147: "client.TestConn_RefusesBadPeers",
	148: "client.TestConn_RefusesBadPeers wire.TestReadMessage_TooShort",
	149: "client.TestConn_DecodesMessages",
	150: "client.TestConn_CommandBytes wire.TestAppend_Commands",
	151: "client.TestConn_CommandBytes",
	152: "client.TestCheckTopic_Names",
	153: "client.TestCheckTopic_Names",
	154: "client.TestConn_CommandBytes",
	155: "client.TestConn_AnswersHeartbeats client.TestEvents_InOrder client.TestEvents_Heartbeats",
	156: "client.TestConn_ClosesWhenSilent",
	157: "client.TestConn_HandshakeDeadline client.TestUpgrade_DeadlineCoversUpgradesAndAuth",
	158: "client.TestAuth_SentOnlyWhenRequired",
	159: "client.TestAuth_SentOnlyWhenRequired",
	160: "client.TestAuth_SentOnlyWhenRequired",
	161: "client.TestAuth_RefusalHasItsCode reader.TestReader_RefusedHandshakesBackOff",
	162: "client.TestUpgrade_RefusedTLSFailsUnlessAllowed",
	163: "client.TestUpgrade_TLSVersionsAndNames",
	164: "reader.TestReader_WireTraces",
	165: "client.TestConn_SurvivesErrorsThatAreNotFatal server.TestAnswer_UnknownIDIsNotFatal",
	166: "client.TestConn_AnswersAfterStartClose server.TestAnswer_CLSEndsDeliveriesOnly",
	167: "client.TestConn_SurvivesErrorsThatAreNotFatal server.TestTimeout_LateFinishIsRefused",
	169: "client.TestEvents_InOrder client.TestConn_Life",
	170: "client.TestConn_ClosesOnceWithTheReason client.TestEvents_OfAFailedDial",
	171: "client.TestConn_OpensWithMagicAndIdentify reader.TestReader_MessageExpiresHere_83",
	172: "client.TestOptions_SetByName client.TestOptions_SetRefuses reader.TestOptions_SetByName_172 reader.TestOptions_SetRefuses_2_172",
	173: "client.TestOptions_Check",
	175: "client.TestOptions_SetByName",
	176: "client.TestOptions_Check",
	177: "client.TestOptions_Check",
	178: "client.TestCheckAddr_Notations client.TestConn_OverIPv6 lookup.TestParse_Notations_178_179_184_189",
	179: "client.TestCheckAddr_Notations",
}

// differently are the statements that are not true here, with what is instead.
var differently = map[int]string{
	125: "nothing asks for 4 bytes: the loop offers what has come, and whole frames are taken out of it",
	168: "there are no listeners to register: each event has one function in the options",
	174: "there is no read timeout that a heartbeat could miss: client.TestOptions_SetRefuses shows that the option is refused with the reason",
}

func TestStatements_EachHasATest(t *testing.T) {
	checklist.List{Spans: [][2]int{{123, 179}}, Shown: shown, Differently: differently}.Check(t, "..")
}
