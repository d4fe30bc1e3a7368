package loop

import (
	"context"
	"fmt"
	"log/slog"
)

// quiet is gnet's logger. gnet has one for the whole process, which the last
// engine made sets for all; so every engine sets this one. What gnet says is
// of use only to somebody who looks into this package, and goes to the default
// logger's debug level. That its loop died, the Engine says itself.
type quiet struct{}

func (quiet) Debugf(format string, args ...any) { logf(format, args) }
func (quiet) Infof(format string, args ...any)  { logf(format, args) }
func (quiet) Warnf(format string, args ...any)  { logf(format, args) }
func (quiet) Errorf(format string, args ...any) { logf(format, args) }
func (quiet) Fatalf(format string, args ...any) { logf(format, args) }

func logf(format string, args []any) {
	if l := slog.Default(); l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("gnet: " + fmt.Sprintf(format, args...))
	}
}
