package server

import (
	"fmt"
	"testing"
)

// near is two consumers of one channel in zone z1 of region r, one in another
// zone of it, and one elsewhere, each ready for 10.
func near(w *world) [4]*peer {
	var peers [4]*peer
	for i, at := range []string{`"r","topology_zone":"z1"`, `"r","topology_zone":"z1"`, `"r","topology_zone":"z2"`, `"q","topology_zone":"z3"`} {
		peers[i] = w.dial()
		peers[i].identify(`{"topology_region":` + at + `}`)
		peers[i].sendString("SUB t c\nRDY 10\n")
		peers[i].want("OK", "OK")
	}
	return peers
}

func TestTopology_NearestFirst(t *testing.T) { // 342
	for _, tt := range []struct {
		messages             int
		zone, region, global uint64
	}{{20, 20, 0, 0}, {21, 20, 1, 0}, {35, 20, 10, 5}, {100, 20, 10, 10}} {
		w := newWorld(t, Options{TopologyRegion: "r", TopologyZone: "z1", TopologyAwareConsumption: true})
		peers := near(w)
		for i := range tt.messages {
			w.publish("t", fmt.Sprint(i))
		}
		st := w.channel("t", "c")
		if st.ZoneLocalMsgCount != tt.zone || st.RegionLocalMsgCount != tt.region || st.GlobalMsgCount != tt.global {
			t.Errorf("%d messages: %d in the zone, %d in the region, %d anywhere; want %d, %d, %d", tt.messages,
				st.ZoneLocalMsgCount, st.RegionLocalMsgCount, st.GlobalMsgCount, tt.zone, tt.region, tt.global)
		}
		got := uint64(len(peers[0].frames()) + len(peers[1].frames()))
		if got != tt.zone {
			t.Errorf("%d messages: %d arrived in the zone, want %d", tt.messages, got, tt.zone)
		}
	}
}

func TestTopology_AnAnswerMakesRoomInTheZone(t *testing.T) {
	w := newWorld(t, Options{TopologyZone: "z1", TopologyAwareConsumption: true})
	far := w.subscribe("t", "c", 1)
	p := w.dial()
	p.identify(`{"topology_zone":"z1"}`)
	p.sendString("SUB t c\nRDY 1\n")
	p.want("OK", "OK")
	w.publish("t", "a", "b")
	m := p.message("a", 1)
	far.message("b", 1)
	p.fin(m)
	w.publish("t", "c")
	p.message("c", 1)
}

func TestTopology_MeansNothingWithoutTheExperiment(t *testing.T) { // 343
	w := newWorld(t, Options{TopologyRegion: "r", TopologyZone: "z1"})
	peers := near(w)
	for i := range 20 {
		w.publish("t", fmt.Sprint(i))
	}
	for i, p := range peers {
		if n := len(p.frames()); n != 5 {
			t.Errorf("consumer %d received %d of 20, want 5", i, n)
		}
	}
	if st := w.channel("t", "c"); st.GlobalMsgCount != 20 || st.ZoneLocalMsgCount != 0 || st.RegionLocalMsgCount != 0 {
		t.Errorf("counted %d anywhere, %d in the zone, %d in the region", st.GlobalMsgCount, st.ZoneLocalMsgCount, st.RegionLocalMsgCount)
	}
}
