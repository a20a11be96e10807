package config

// DatabaseAccess configures how a service uses the database.
type DatabaseAccess struct {
	// permissions of the service's database users; owner may also create and alter tables
	Access string `yaml:"access" allowed:"none|read|write|owner"`
	// maximum number of connections of all tasks together; a deployment doubles the tasks
	Connections int `yaml:"connections" allowed:"1..5000"`
	// time after which PostgreSQL cancels a statement, those of migrations included; 0: never
	QueryTimeout int `yaml:"query_timeout" allowed:"0..3600000 milliseconds"`
}

func accessDefaults(p profile) DatabaseAccess {
	return DatabaseAccess{Access: "none", Connections: pick(p, 20, 100), QueryTimeout: 60_000}
}

// UsesDatabase reports whether the service has a user in the database.
func (s Service) UsesDatabase() bool { return s.Database.Access != "none" }

func (w warner) databaseAccess(s Service) {
	w.idle(s.UsesDatabase(), "while "+w.full("access")+" is none", "connections", "query_timeout")
}
