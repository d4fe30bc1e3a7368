package admin

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The tables of a view, in the order in which they are sent.
const (
	tableCluster   = "cluster" // one row
	tableAttention = "attention"
	tableNodes     = "nodes"
	tableTopics    = "topics"
	tableChannels  = "channels"
	tableClients   = "clients"
)

var tables = []string{tableCluster, tableAttention, tableNodes, tableTopics, tableChannels, tableClients}

const (
	// rowsMost is how many rows of a table are shown. The cluster's row says
	// when there are more.
	rowsMost = 20_000

	// goneMost is how many rows that have gone are remembered, for those who
	// were away for a moment.
	goneMost = 4096
)

// row is one line of a table, as it is sent.
type row struct {
	table, key           string
	topic, channel, node string // what it is about, for filters
	json                 []byte
	changed              uint64 // the view in which it last changed
}

// view is what was known at one moment. It does not change any more, but that
// done is closed when there is a newer one.
type view struct {
	epoch  string // of the process; ids of another one mean nothing here
	id     uint64 // views are counted from 1; 0 is nothing yet
	at     time.Time
	rows   map[string][]*row // by table, sorted by key
	gone   []*row            // rows that are no more, the oldest first; changed says since when
	oldest uint64            // what is older than this is not known to have gone
	done   chan struct{}
}

// newView is the one before there is anything to show.
func newView() *view { return &view{done: make(chan struct{})} }

// draft is a view that is being made.
type draft struct {
	rows map[string][]*row
	cut  int // rows that were left out
}

// add adds a row. value is encoded as JSON.
func (d *draft) add(r row, value any) {
	if len(d.rows[r.table]) >= rowsMost {
		d.cut++
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic("a row does not encode as JSON: " + err.Error())
	}
	r.json = text
	d.rows[r.table] = append(d.rows[r.table], &r)
}

// after makes a view of a draft, the one after before: rows that are as they
// were keep the view in which they last changed.
func (d *draft) after(before *view, epoch string, at time.Time) *view {
	v := &view{epoch: epoch, id: before.id + 1, at: at, rows: d.rows, gone: before.gone, oldest: before.oldest, done: make(chan struct{})}
	for _, table := range tables {
		rows := v.rows[table]
		sort.Slice(rows, func(i, j int) bool { return rows[i].key < rows[j].key })
		old := before.rows[table]
		for _, r := range rows {
			for len(old) > 0 && old[0].key < r.key {
				v.lose(old[0])
				old = old[1:]
			}
			r.changed = v.id
			if len(old) > 0 && old[0].key == r.key {
				if bytes.Equal(old[0].json, r.json) {
					r.changed = old[0].changed
				}
				old = old[1:]
			}
		}
		for _, r := range old {
			v.lose(r)
		}
	}
	if over := len(v.gone) - goneMost; over > 0 {
		v.oldest = v.gone[over-1].changed
		v.gone = v.gone[over:]
	}
	return v
}

// lose remembers a row that has gone.
func (v *view) lose(r *row) {
	was := *r
	was.json, was.changed = nil, v.id
	// The slice is shared with older views: only what they do not see is added.
	v.gone = append(v.gone[:len(v.gone):len(v.gone)], &was)
}

// wanted is which rows somebody wants. An empty field takes all.
type wanted struct {
	tables               []string
	topic, channel, node string
}

// wants says whether a row is one of them.
func (w *wanted) wants(r *row) bool {
	if len(w.tables) > 0 && !slices.Contains(w.tables, r.table) {
		return false
	}
	return r.table == tableAttention || (w.topic == "" || r.topic == "" || r.topic == w.topic) &&
		(w.channel == "" || r.channel == "" || r.channel == w.channel) &&
		(w.node == "" || r.node == "" || r.node == w.node)
}

// token is the name of a view, by which a browser says what it has seen.
func (v *view) token() string { return v.epoch + "." + strconv.FormatUint(v.id, 10) }

// since is the view that a token names, 0 when it is none of this process's or
// too old to tell what has gone.
func (v *view) since(token string) uint64 {
	epoch, id, _ := strings.Cut(token, ".")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || epoch != v.epoch || n > v.id || n < v.oldest {
		return 0
	}
	return n
}

// frame is what has changed since a view, 0 for everything, as JSON:
//
//	{"id":"…","at":<unix ms>,"full":true,"tables":{"topics":{"set":[…],"del":["key"]}}}
//
// A full one replaces what was known of the tables that it has; of another one,
// del comes before set: what has gone may be back. changed says whether there was
// anything to tell.
func (v *view) frame(since uint64, w *wanted) (frame []byte, changed bool) {
	b := make([]byte, 0, 1024)
	b = append(b, `{"id":"`...)
	b = append(b, v.token()...)
	b = append(b, `","at":`...)
	b = strconv.AppendInt(b, v.at.UnixMilli(), 10)
	if since == 0 {
		b = append(b, `,"full":true`...)
	}
	b = append(b, `,"tables":{`...)
	first := true
	for _, table := range tables {
		if len(w.tables) > 0 && !slices.Contains(w.tables, table) {
			continue
		}
		mark := len(b)
		if !first {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, table...)
		b = append(b, `":{"set":[`...)
		set, del := v.appendRows(&b, table, since, w)
		if set+del == 0 && since != 0 {
			b = b[:mark]
			continue
		}
		b = append(b, `]}`...)
		first, changed = false, true
	}
	return append(b, `}}`...), changed
}

// appendRows appends the rows of a table that have changed, and the keys of
// those that have gone.
func (v *view) appendRows(b *[]byte, table string, since uint64, w *wanted) (set, del int) {
	for _, r := range v.rows[table] {
		if r.changed <= since || !w.wants(r) {
			continue
		}
		if set > 0 {
			*b = append(*b, ',')
		}
		*b = append(*b, r.json...)
		set++
	}
	*b = append(*b, `],"del":[`...)
	if since == 0 {
		return set, 0
	}
	for _, r := range v.gone {
		if r.changed <= since || r.table != table || !w.wants(r) {
			continue
		}
		if del > 0 {
			*b = append(*b, ',')
		}
		quoted, _ := json.Marshal(r.key) // a string always encodes
		*b = append(*b, quoted...)
		del++
	}
	return set, del
}
