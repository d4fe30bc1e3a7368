package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// loggingPage is the page about what the SDK logs, and loggingRooms are the rooms
// that it is about.
const loggingPage = "docs/logging.md"

var loggingRooms = []string{"client", "client/lookup", "loop", "reader", "reader/middleware", "writer"}

// logLevels are the methods of slog.Logger that write a line.
var logLevels = map[string]string{"Debug": "debug", "Info": "info", "Warn": "warn", "Error": "error"}

// Logging asserts that the page about the SDK's log names each line that is
// written, with its room, its level and its keys, and no other: those who search
// logs rely on it. A line there is a row of a table that begins with
//
//	| room | level | `message` | `key`, `key` |
func Logging(m *Module) []Finding {
	if m.sample() {
		return nil
	}
	written := map[string]Finding{}
	for _, f := range m.files {
		if f.test || !slices.Contains(loggingRooms, f.room) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if row := logRow(f.room, call); row != "" {
				written[row] = m.at(call.Pos(), "%s has no row %s", loggingPage, row)
			}
			return true
		})
	}
	var found []Finding
	for i, line := range strings.Split(m.text(loggingPage), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !slices.Contains(loggingRooms, strings.TrimSpace(cells[1])) {
			continue
		}
		row := strings.Join(cells[:5], "|") + "|"
		if _, ok := written[row]; !ok {
			found = append(found, Finding{File: loggingPage, Line: i + 1, Text: "no line of log is " + row})
		}
		delete(written, row)
	}
	for _, row := range sortedKeys(written) {
		found = append(found, written[row])
	}
	return found
}

// logRow is the beginning of a row about a call of a logger; "" for other calls.
func logRow(room string, call *ast.CallExpr) string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || logLevels[sel.Sel.Name] == "" || len(call.Args) == 0 || !isLogger(sel.X) {
		return ""
	}
	message, ok := literal(call.Args[0])
	if !ok {
		return ""
	}
	var keys []string
	for i := 1; i < len(call.Args); i++ {
		at := call.Args[i]
		if attr, ok := at.(*ast.CallExpr); ok && len(attr.Args) > 0 { // slog.Any and its like
			at = attr.Args[0]
		} else {
			i++ // the value
		}
		key, _ := literal(at)
		keys = append(keys, "`"+key+"`")
	}
	return fmt.Sprintf("| %s | %s | `%s` | %s |", room, logLevels[sel.Sel.Name], message, strings.Join(keys, ", "))
}

// isLogger says whether x is called log or Logger.
func isLogger(x ast.Expr) bool {
	name := lastName(x)
	return name == "log" || name == "Logger"
}

// literal is the value of a string that stands in the source.
func literal(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
