package conformance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tested are the statements that no transcript can show, with the Go test of
// this package that does.
var tested = map[int]func(*testing.T){
	17:  TestFrames_AsTheyStand,
	18:  TestFrames_AsTheyStand,
	53:  TestUpgrade_DeflateLevel,
	54:  TestUpgrade_DeflateLevel,
	55:  TestUpgrade_BothCompressions,
	57:  TestUpgrade_SwitchedOff,
	58:  TestUpgrade_SwitchedOff,
	67:  TestUpgrade_LayerByLayer,
	68:  TestUpgrade_LayerByLayer,
	69:  TestUpgrade_LayerByLayer,
	70:  TestUpgrade_LayerByLayer,
	71:  TestUpgrade_LayerByLayer,
	72:  TestUpgrade_LayerByLayer,
	73:  TestUpgrade_LayerByLayer,
	74:  TestTLS_HandshakeDeadline,
	75:  TestTLS_Required,
	76:  TestTLS_Required,
	77:  TestTLS_Required,
	78:  TestTLS_HTTP,
	79:  TestTLS_HTTP,
	80:  TestTLS_HTTP,
	81:  TestTLS_ClientCertificates,
	82:  TestTLS_ClientCertificates,
	83:  TestTLS_HTTP,
	84:  TestTLS_RequiredWithoutACertificate,
	85:  TestTLS_MinimumVersion,
	86:  TestTLS_Stats,
	185: TestTimeout_ManyAtOnce,
	280: TestAuth_Query,
	281: TestAuth_Query,
	283: TestAuth_BadReplies,
	291: TestAuth_GrantsExpire,
	292: TestAuth_OneServerIsDown,
}

// elsewhere are the statements that a test of another room shows, with its
// file and its name. The test carries the number, in a comment or in the name
// of a row.
var elsewhere = map[int]string{
	210: "server/metadata_test.go TestMetadata_Form",
	211: "server/metadata_test.go TestMetadata_IsWholeAfterStopAndStart",
	212: "cmd/nsqd-lite/main_test.go TestProgram_Occupied",
	213: "cmd/nsqd-lite/main_test.go TestProgram_Occupied",
	214: "cmd/nsqd-lite/main_test.go TestProgram_StartAndStop",
	215: "cmd/nsqd-lite/main_test.go TestProgram_StartAndStop",
	216: "cmd/nsqd-lite/main_test.go TestProgram_Kill",
	217: "cmd/nsqd-lite/role_test.go TestRun_Usage",
	218: "cmd/nsqd-lite/role_test.go TestRun_Usage",
	219: "cmd/nsqd-lite/role_test.go TestRun_Usage",
	220: "cmd/nsqd-lite/main_test.go TestProgram_Occupied",
	221: "cmd/nsqd-lite/role_test.go TestRun_Usage",
	222: "cmd/nsqd-lite/role_test.go TestFlags_Precedence",
	223: "cmd/nsqd-lite/role_test.go TestConfig_Values",
	224: "cmd/nsqd-lite/role_test.go TestFlags_Accepted",
	225: "cmd/nsqd-lite/main_test.go TestProgram_UnixSocket",
	227: "server/httphealth_test.go TestHTTP_PingFollowsTheDisk",
	228: "server/http_test.go TestHTTP_Info",
	233: "server/http_test.go TestHTTP_PublishChunked",
	257: "server/peers_test.go TestPeers_LookupdsChangeWhileItRuns",
	260: "server/httpguard_test.go TestHTTP_Debug",
	262: "server/httpstats_test.go TestStats_Text",
	263: "server/httpstats_test.go TestStats_Text",
	264: "server/httpstats_test.go TestStats_Text",
	270: "server/latency_test.go TestLatency_OfChannelAndTopic",
	271: "server/httpstats_test.go TestStats_Channel",
	276: "server/httpstats_test.go TestStats_UnderLoad",
	317: "server/lookupd_test.go TestLookupd_Sockets",
	319: "server/peers_test.go TestPeers_EveryChangeReachesEveryLookupd",
	320: "server/peers_test.go TestPeers_EveryChangeReachesEveryLookupd",
	321: "server/peers_test.go TestPeers_RestartsAndCuts",
	322: "server/peers_test.go TestPeers_Bytes",
	323: "server/peers_test.go TestPeers_Precreation",
	324: "server/peers_test.go TestPeers_PrecreationThatFails",
	325: "server/peers_test.go TestPeers_Bytes",
	326: "server/peers_test.go TestPeers_EveryChangeReachesEveryLookupd",
	327: "server/admin/admin_test.go TestNSQAdmin_Reads",
	328: "server/admin/admin_test.go TestNSQAdmin_Acts",
	329: "server/admin/admin_test.go TestNSQAdmin_Reads",
	330: "cmd/nsqd-lite/stat_test.go TestNSQStat_Columns",
	331: "cmd/nsqd-lite/utilities_test.go TestNSQTail_Ephemeral",
	332: "cmd/nsqd-lite/utilities_test.go TestToNSQ_EveryAddress",
	333: "cmd/nsqd-lite/internal/tofile/tofile_test.go TestArchiver_FinishesAfterSync",
	334: "cmd/nsqd-lite/internal/tofile/tofile_test.go TestArchiver_KilledBeforeSync",
	335: "cmd/nsqd-lite/internal/relay/relay_test.go TestRelay_Copies",
	336: "cmd/nsqd-lite/internal/tohttp/tohttp_test.go TestSender_Requeues",
	337: "internal/interop/suites_test.go TestGoNSQ_OwnSuite", // and TestNSQJS_OwnSuite; pynsq's is not run
	338: "server/statsd_test.go TestStatsd_Lines",
	339: "server/statsd_test.go TestStatsd_Datagrams",
	340: "server/statsd_test.go TestStatsd_Lines",
	341: "server/delivery_test.go TestDelivery_SampleRateDropsTheRest",
	342: "server/topology_test.go TestTopology_NearestFirst",
	343: "server/topology_test.go TestTopology_MeansNothingWithoutTheExperiment",
}

// differently are the statements that are not true of our server on purpose,
// with the Go test of this package that shows what is.
var differently = map[int]func(*testing.T){
	4: TestMagic_HTTPIsAnsweredInHTTP,
}

// titleNumbers are the numbers at the beginning of a title.
var titleNumbers = regexp.MustCompile(`^\d+(, \d+)* `)

func TestStatements_EachHasATest(t *testing.T) {
	shown := map[int][]string{}
	for _, path := range transcripts(t) {
		for _, st := range mustParse(t, path).steps {
			numbers := strings.TrimSpace(titleNumbers.FindString(st.title))
			if numbers == "" {
				t.Errorf("%s: the title %q begins without the number of a statement", path, st.title)
				continue
			}
			for _, word := range strings.Split(numbers, ", ") {
				n, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				if statements[n] == "" {
					t.Errorf("%s: %q: there is no statement %d", path, st.title, n)
				}
				shown[n] = append(shown[n], path)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(statements)) {
		ways := 0
		if len(shown[n]) > 0 {
			ways++
		}
		if tested[n] != nil {
			ways++
		}
		if elsewhere[n] != "" {
			if len(shown[n]) == 0 { // both may show a part
				ways++
			}
			if err := carries(elsewhere[n], n); err != nil {
				t.Errorf("statement %d: %v", n, err)
			}
		}
		if differently[n] != nil {
			ways++
		}
		switch {
		case ways == 0:
			t.Errorf("statement %d has no test: %s", n, statements[n])
		case ways > 1:
			t.Errorf("statement %d is in more than one list (transcripts %v)", n, shown[n])
		}
	}
	if len(statements) != 343 {
		t.Errorf("%d statements, want 343", len(statements))
	}
}

// inText are the numbers in a text, alone or from one to the other.
var inText = regexp.MustCompile(`\b(\d+)(?: to (\d+))?\b`)

// carries says why a test, named by its file and its name, does not carry the
// number of a statement.
func carries(test string, number int) error {
	path, name, _ := strings.Cut(test, " ")
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Join("../..", filepath.FromSlash(path)), nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != name {
			continue
		}
		var texts []string
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				texts = append(texts, lit.Value)
			}
			return true
		})
		for _, c := range file.Comments {
			if c == f.Doc || c.Pos() >= f.Pos() && c.End() <= f.End() {
				texts = append(texts, c.Text())
			}
		}
		for _, text := range texts {
			for _, m := range inText.FindAllStringSubmatch(text, -1) {
				from, _ := strconv.Atoi(m[1])
				to, err := strconv.Atoi(m[2])
				if err != nil {
					to = from
				}
				if from <= number && number <= to {
					return nil
				}
			}
		}
		return fmt.Errorf("%s of %s does not carry the number", name, path)
	}
	return fmt.Errorf("%s has no %s", path, name)
}

func TestCarries_FindsNumbersWhereTheyStand(t *testing.T) {
	for _, row := range []struct {
		test   string
		number int
		ok     bool
	}{
		{"server/httpstats_test.go TestStats_Filters", 266, true}, // "265 to 268"
		{"server/httpstats_test.go TestStats_Filters", 269, false},
		{"server/http_test.go TestHTTP_Admin", 247, true}, // a row
		{"server/http_test.go TestHTTP_Admin", 226, false},
		{"server/http_test.go TestHTTP_Nothing", 247, false},
		{"server/nothing_test.go TestHTTP_Admin", 247, false},
	} {
		if err := carries(row.test, row.number); (err == nil) != row.ok {
			t.Errorf("%s carries %d: %v", row.test, row.number, err)
		}
	}
}
